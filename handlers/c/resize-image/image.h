/* Pictures in the binary formats of Netpbm: PGM (P5, grey) and PPM (P6, colour), with one byte for each sample. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* The longest side. What is larger is refused before anything is allocated. */
#define IMAGE_SIDE_LIMIT 8192

typedef struct image {
    uint32_t width, height;
    uint32_t samples;      /* Of each pixel: 1 is grey, 3 is colour. */
    const uint8_t *pixels; /* Row by row. */
} image;

/* Reads a picture, without copying its pixels. Returns NULL, or what is wrong. */
const char *image_read(const uint8_t *data, size_t len, image *read);

/* Shrinks a picture to this size, which is at least 1 by 1 and no larger than the picture, by the mean of the pixels
 * that each new one covers. `pixels` has room for the new picture. */
void image_shrink(const image *from, uint32_t width, uint32_t height, uint8_t *pixels);

#endif
