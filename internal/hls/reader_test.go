package hls

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"livego/internal/media"
	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(m)
}

// fakeReader is a media.Reader fed by a test.
type fakeReader struct {
	feed    chan any // []media.AccessUnit or error
	pending []media.AccessUnit
}

var _ media.Reader = (*fakeReader)(nil)

func newFakeReader() *fakeReader { return &fakeReader{feed: make(chan any)} }

func (r *fakeReader) Read(ctx context.Context, dst []media.AccessUnit) (int, error) {
	for len(r.pending) == 0 {
		select {
		case v := <-r.feed:
			if err, ok := v.(error); ok {
				return 0, err
			}
			r.pending = v.([]media.AccessUnit)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	n := copy(dst, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}
