/* Reading and shrinking pictures. Knows nothing of events. */

#include "image.h"

/* Skips white space and comments, then reads a number of at most five digits; -1 if there is none. */
static int32_t read_number(const uint8_t *data, size_t len, size_t *at) {
    while (*at < len) {
        uint8_t c = data[*at];
        if (c == '#') {
            while (*at < len && data[*at] != '\n')
                (*at)++;
        } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
            (*at)++;
        } else {
            break;
        }
    }
    int32_t number = -1;
    for (int digits = 0; digits < 5 && *at < len && data[*at] >= '0' && data[*at] <= '9'; digits++)
        number = (number < 0 ? 0 : number * 10) + (data[(*at)++] - '0');
    return number;
}

const char *image_read(const uint8_t *data, size_t len, image *read) {
    if (len < 2 || data[0] != 'P' || (data[1] != '5' && data[1] != '6'))
        return "the body is no binary PGM or PPM picture: it does not begin with P5 or P6";
    size_t at = 2;
    int32_t width = read_number(data, len, &at);
    int32_t height = read_number(data, len, &at);
    int32_t most = read_number(data, len, &at);
    if (width < 1 || height < 1 || width > IMAGE_SIDE_LIMIT || height > IMAGE_SIDE_LIMIT)
        return "the picture's sides are not 1 to 8192 pixels";
    if (most != 255)
        return "the picture's samples do not go to 255";
    /* Exactly one byte of white space stands before the pixels. */
    at++;
    read->width = (uint32_t)width;
    read->height = (uint32_t)height;
    read->samples = data[1] == '5' ? 1 : 3;
    size_t needed = (size_t)read->width * read->height * read->samples;
    if (at > len || len - at < needed)
        return "the picture ends before its last pixel";
    read->pixels = data + at;
    return NULL;
}

/* How much of old pixel `from` lies under new pixel `to`, in units in which the whole side is olds * news long. */
static uint64_t overlap(uint32_t from, uint32_t to, uint32_t olds, uint32_t news) {
    uint64_t old_begin = (uint64_t)from * news, old_end = old_begin + news;
    uint64_t new_begin = (uint64_t)to * olds, new_end = new_begin + olds;
    uint64_t begin = old_begin > new_begin ? old_begin : new_begin;
    uint64_t end = old_end < new_end ? old_end : new_end;
    return end > begin ? end - begin : 0;
}

static void shrink_pixel(const image *from, uint32_t width, uint32_t height, uint32_t x, uint32_t y, uint8_t *pixel) {
    /* The weights of one new pixel add up to the area of the old picture: 26 bits, and a sample has 8. */
    uint64_t sums[3] = {0, 0, 0};
    uint32_t first_row = (uint32_t)((uint64_t)y * from->height / height);
    uint32_t first_column = (uint32_t)((uint64_t)x * from->width / width);
    for (uint32_t row = first_row; row < from->height; row++) {
        uint64_t down = overlap(row, y, from->height, height);
        if (down == 0)
            break;
        for (uint32_t column = first_column; column < from->width; column++) {
            uint64_t weight = down * overlap(column, x, from->width, width);
            if (weight == 0)
                break;
            const uint8_t *old = from->pixels + ((size_t)row * from->width + column) * from->samples;
            for (uint32_t sample = 0; sample < from->samples; sample++)
                sums[sample] += weight * old[sample];
        }
    }
    uint64_t area = (uint64_t)from->width * from->height;
    for (uint32_t sample = 0; sample < from->samples; sample++)
        pixel[sample] = (uint8_t)((sums[sample] + area / 2) / area);
}

void image_shrink(const image *from, uint32_t width, uint32_t height, uint8_t *pixels) {
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++)
            shrink_pixel(from, width, height, x, y, pixels + ((size_t)y * width + x) * from->samples);
    }
}
