package server

import (
	"io"
	"net/http"
)

// contentWriter answers a request that announces content. net/http reads all of it before an answer
// goes out, unless the connection ends with that.
type contentWriter struct {
	http.ResponseWriter
	content *content
	begun   bool
}

// content is that of a request. read: the handler has read all of it.
type content struct {
	io.ReadCloser
	read bool
}

func (c *content) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.read = c.read || err == io.EOF
	return n, err
}

// withContent has the answer to a request end the connection if its content was not read.
func withContent(w http.ResponseWriter, r *http.Request) (*contentWriter, *http.Request) {
	copied, body := *r, &content{ReadCloser: r.Body}
	copied.Body = body
	return &contentWriter{ResponseWriter: w, content: body}, &copied
}

func (w *contentWriter) WriteHeader(status int) {
	w.finish()
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *contentWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// finish is for handlers that wrote nothing.
func (w *contentWriter) finish() {
	if !w.begun && !w.content.read {
		w.Header().Set("Connection", "close")
	}
}

// Unwrap lets a connection be taken over, and deadlines be moved.
func (w *contentWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
