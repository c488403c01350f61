package http1

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"livego/internal/http2"
)

// body is the content of a request.
type body struct {
	task *task
	asks bool // for a word before it sends

	mu     sync.Mutex
	buf    []byte
	read   int // that the client has not been told of
	ended  bool
	failed bool
	until  time.Time
	more   chan struct{}
}

var _ io.ReadCloser = (*body)(nil)

// add adds content. It is bounded by the window that the client has.
func (b *body) add(p []byte, end bool) {
	b.mu.Lock()
	b.buf = append(b.buf, p...)
	b.ended = b.ended || end
	b.mu.Unlock()
	b.signal()
}

func (b *body) fail() {
	b.mu.Lock()
	b.failed = true
	b.mu.Unlock()
	b.signal()
}

func (b *body) setDeadline(at time.Time) {
	b.mu.Lock()
	b.until = at
	b.mu.Unlock()
	b.signal()
}

func (b *body) signal() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.asks {
		b.asks = false
		block := http2.AppendStatus(nil, http.StatusContinue)
		b.task.inLoop(func() { b.task.stream.Interim(block) })
	}
	for {
		n, until, err := b.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if until.IsZero() {
			<-b.more
			continue
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-b.more:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take takes what there is.
func (b *body) take(p []byte) (n int, until time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.buf) > 0:
		n = copy(p, b.buf)
		if b.buf = b.buf[n:]; len(b.buf) == 0 {
			b.buf = nil
		}
		if b.read += n; b.read >= reopens || b.buf == nil {
			read := b.read
			b.read = 0
			b.task.inLoop(func() { b.task.stream.Consumed(read) })
		}
	case b.ended:
		err = io.EOF
	case b.failed:
		err = io.ErrUnexpectedEOF
	case !b.until.IsZero() && !time.Now().Before(b.until):
		err = os.ErrDeadlineExceeded
	}
	return n, b.until, err
}

func (b *body) Close() error { return nil }
