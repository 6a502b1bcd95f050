package hostel

import (
	"errors"

	"hostel.dev/go/internal/host"
)

// The errors of buckets that can be told apart with errors.Is. Any other carries the host's text.
var (
	// ErrNoSuchBucket is that the host has no bucket of this name.
	ErrNoSuchBucket = errors.New("there is no such bucket")
	// ErrBucketDenied is that the handler may not use the bucket: it is not among `keyvalue` of the manifest. It rejects,
	// as what PublishError calls Denied does.
	ErrBucketDenied = Reject(errors.New("the bucket is denied to this handler; add it to `keyvalue` in handler.toml"))
)

// Bucket is a collection of keys and values that the host keeps.
type Bucket struct{ bucket host.Bucket }

// OpenBucket opens a bucket by its name.
func OpenBucket(name string) (*Bucket, error) {
	bucket, failure := host.OpenBucket(name)
	if failure != nil {
		return nil, bucketError(failure)
	}
	return &Bucket{bucket}, nil
}

// Get is the value of a key, and whether there is one.
func (b *Bucket) Get(key string) ([]byte, bool, error) {
	value, ok, failure := b.bucket.Get(key)
	return value, ok, bucketError(failure)
}

// Set sets the value of a key.
func (b *Bucket) Set(key string, value []byte) error { return bucketError(b.bucket.Set(key, value)) }

// Delete removes a key, if it is there.
func (b *Bucket) Delete(key string) error { return bucketError(b.bucket.Delete(key)) }

// Exists says whether a key has a value.
func (b *Bucket) Exists(key string) (bool, error) {
	ok, failure := b.bucket.Exists(key)
	return ok, bucketError(failure)
}

// Keys are all keys, in no order. It asks the host page by page: costly in a large bucket.
func (b *Bucket) Keys() ([]string, error) {
	var keys []string
	var cursor *uint64
	for {
		page, next, failure := b.bucket.Keys(cursor)
		if failure != nil {
			return nil, bucketError(failure)
		}
		keys = append(keys, page...)
		if next == nil {
			return keys, nil
		}
		cursor = next
	}
}

// Increment adds to the number of a key, atomically, and returns the sum. A key that is not there counts as zero.
func (b *Bucket) Increment(key string, delta uint64) (uint64, error) {
	sum, failure := b.bucket.Increment(key, delta)
	return sum, bucketError(failure)
}

// Close gives the bucket back to the host. Without it that happens when the instance ends.
func (b *Bucket) Close() { b.bucket.Close() }

func bucketError(failure *host.Failure) error {
	switch {
	case failure == nil:
		return nil
	case failure.Case == host.NoSuchStore:
		return ErrNoSuchBucket
	case failure.Case == host.AccessDenied:
		return ErrBucketDenied
	default:
		return errors.New("the bucket failed: " + failure.Text)
	}
}
