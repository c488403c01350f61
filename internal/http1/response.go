package http1

import (
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/http2"
)

// headRoom is about the length of the head of an answer, in bytes.
const headRoom = 512

// response collects what a handler answers in the loop.
type response struct {
	header http.Header
	status int // 0: nothing was written yet
	pieces [][]byte
	size   int

	// outcome is what the handler is told if it wants to wait, left what to call when the request
	// waits no longer.
	outcome   Outcome
	change    <-chan struct{}
	limit     time.Duration
	left      func()
	elsewhere bool
	each      func()
	// kept is from the call before, keep for the next one.
	kept, keep any

	keys []string
	date dateText
}

var (
	_ Waiter        = (*response)(nil)
	_ Sharer        = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
)

// reset makes it ready for another call of a handler.
func (w *response) reset(outcome Outcome) {
	if w.header == nil {
		w.header = make(http.Header)
	}
	clear(w.header)
	clear(w.pieces)
	w.status, w.pieces, w.size = 0, w.pieces[:0], 0
	w.outcome, w.change, w.left, w.elsewhere, w.each = outcome, nil, nil, false, nil
	w.kept, w.keep = nil, nil
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // no handler here sends interim responses
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) { return w.WriteShared(slices.Clone(b)) }

func (w *response) WriteShared(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if len(b) > 0 {
		w.pieces, w.size = append(w.pieces, b), w.size+len(b)
	}
	return len(b), nil
}

// ReadFrom takes the pieces of net.Buffers without copying them.
func (w *response) ReadFrom(r io.Reader) (n int64, err error) {
	pieces, ok := r.(*net.Buffers)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for _, b := range *pieces {
		k, err := w.WriteShared(b)
		if n += int64(k); err != nil {
			return n, err
		}
	}
	*pieces = nil
	return n, nil
}

func (w *response) Wait(change <-chan struct{}, limit time.Duration, left func()) Outcome {
	if told := w.outcome; told != Waiting { // once: the next wait is another one
		w.outcome = Waiting
		return told
	}
	w.change, w.limit, w.left = change, limit, left
	return Waiting
}

func (w *response) Keep(v any) { w.keep = v }

func (w *response) Kept() any { return w.kept }

func (w *response) Waits() bool { return w.change != nil || w.elsewhere }

func (w *response) Share(each func()) { w.each = each }

func (w *response) Elsewhere() { w.elsewhere = true }

// SetReadDeadline and SetWriteDeadline have nothing to do: nobody waits with a deadline of his own.
func (w *response) SetReadDeadline(time.Time) error  { return nil }
func (w *response) SetWriteDeadline(time.Time) error { return nil }

// whole says whether the content is as long as the header says, where it does.
func (w *response) whole() bool {
	length := w.header["Content-Length"]
	return len(length) == 0 || length[0] == strconv.Itoa(w.size)
}

// closes says whether the connection ends with the answer.
func (w *response) closes() bool { return w.header["Connection"] != nil }

// appendHead appends the head of the answer as net/http writes it.
func (w *response) appendHead(b []byte, now time.Time) []byte {
	w.WriteHeader(http.StatusOK)
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(w.status), 10)
	b = append(append(append(b, ' '), http.StatusText(w.status)...), "\r\n"...)
	w.keys = w.keys[:0]
	for key := range w.header {
		w.keys = append(w.keys, key)
	}
	slices.Sort(w.keys)
	for _, key := range w.keys {
		if key == "Content-Length" && !bodyAllowed(w.status) {
			continue
		}
		for _, value := range w.header[key] {
			b = append(append(b, key...), ": "...)
			b = append(append(b, oneLine(value)...), "\r\n"...)
		}
	}
	if w.header["Date"] == nil {
		b = append(append(append(b, "Date: "...), w.date.at(now)...), "\r\n"...)
	}
	if bodyAllowed(w.status) {
		b = w.appendContent(b)
	}
	return append(b, "\r\n"...)
}

// shared is an answer for all who waited for the same.
type shared struct {
	bytes []byte
	// block and pieces take the place of bytes over HTTP/2.
	block  []byte
	pieces [][]byte
	size   int // of the content
	each   func()
}

// join returns the whole answer in one piece.
func (w *response) join(now time.Time) []byte {
	b := w.appendHead(make([]byte, 0, headRoom+w.size), now)
	for _, piece := range w.pieces {
		b = append(b, piece...)
	}
	return b
}

// appendBlock appends the head of the answer as HTTP/2 has it, without what is for connections
// only.
func (w *response) appendBlock(b []byte, now time.Time) []byte {
	w.WriteHeader(http.StatusOK)
	b = http2.AppendStatus(b, w.status)
	w.keys = w.keys[:0]
	for key := range w.header {
		w.keys = append(w.keys, key)
	}
	slices.Sort(w.keys)
	for _, key := range w.keys {
		if key == "Connection" || key == "Content-Length" && !bodyAllowed(w.status) {
			continue
		}
		for _, value := range w.header[key] {
			b = http2.AppendField(b, key, oneLine(value))
		}
	}
	if w.header["Date"] == nil {
		b = http2.AppendField(b, "Date", string(w.date.at(now)))
	}
	if !bodyAllowed(w.status) {
		return b
	}
	if w.header["Content-Length"] == nil {
		b = http2.AppendField(b, "Content-Length", strconv.Itoa(w.size))
	}
	if w.size > 0 && w.header["Content-Type"] == nil && w.header["Content-Encoding"] == nil {
		b = http2.AppendField(b, "Content-Type", http.DetectContentType(w.pieces[0]))
	}
	return b
}

// appendContent appends what the handler did not say of the content.
func (w *response) appendContent(b []byte) []byte {
	if w.header["Content-Length"] == nil {
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(w.size), 10)
		b = append(b, "\r\n"...)
	}
	if w.size > 0 && w.header["Content-Type"] == nil && w.header["Content-Encoding"] == nil {
		b = append(append(append(b, "Content-Type: "...), http.DetectContentType(w.pieces[0])...), "\r\n"...)
	}
	return b
}

// oneLine keeps a value from ending its field.
func oneLine(value string) string {
	if strings.ContainsAny(value, "\r\n") {
		value = strings.NewReplacer("\n", " ", "\r", " ").Replace(value)
	}
	return textproto.TrimString(value)
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// dateText is the time as answers have it, made once a second.
type dateText struct {
	second int64
	text   []byte
}

func (d *dateText) at(now time.Time) []byte {
	if second := now.Unix(); second != d.second || d.text == nil {
		d.second, d.text = second, now.UTC().AppendFormat(d.text[:0], http.TimeFormat)
	}
	return d.text
}
