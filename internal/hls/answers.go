package hls

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"livego/internal/http1"
)

// kinds names the kinds of resource in figures, in the order of their constants.
var kinds = [...]string{
	nothing: "other", mediaPlaylist: "ts_playlist", mediaSegment: "ts_segment", crossDomainPolicy: "other",
	multivariantPlaylist: "multivariant", renditionPlaylist: "playlist", framesPlaylist: "iframe_playlist",
	cmafSegmentFile: "segment", cmafPartFile: "part", cmafInitFile: "init",
}

// codes are the status codes that this package answers with. Others are counted as the last one, 0.
var codes = [...]int{
	http.StatusOK, http.StatusNoContent, http.StatusPartialContent, http.StatusFound, http.StatusNotModified, http.StatusBadRequest,
	http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable,
	http.StatusInternalServerError, http.StatusServiceUnavailable, 0,
}

// answers counts what was answered. It takes no lock.
type answers struct {
	counts [len(kinds)][len(codes)]atomic.Uint64
	bytes  atomic.Uint64
	// toServers are those of them that went to other servers.
	toServers atomic.Uint64
	// idle are observers for further requests.
	idle sync.Pool
}

// add counts an answer, which is over.
func (a *answers) add(kind resource, o *observed) {
	a.count(kind, o.status, o.bytes)
	a.drop(o)
}

// count counts an answer with so many bytes.
func (a *answers) count(kind resource, status int, bytes int64) {
	i := slices.Index(codes[:], status)
	if i < 0 {
		i = len(codes) - 1
	}
	a.counts[kind][i].Add(1)
	a.bytes.Add(uint64(bytes))
}

// drop forgets an answer that was not given.
func (a *answers) drop(o *observed) {
	*o = observed{}
	a.idle.Put(o)
}

// Answers says how many requests of a kind were answered with a status code, 0 for codes that are
// rare.
type Answers struct {
	Kind  string
	Code  int
	Count uint64
}

// list returns the counts that are not 0, by kind and code.
func (a *answers) list() (all []Answers) {
	for kind := range a.counts {
		for code := range a.counts[kind] {
			n := a.counts[kind][code].Load()
			if n == 0 {
				continue
			}
			same := func(o Answers) bool { return o.Kind == kinds[kind] && o.Code == codes[code] }
			if i := slices.IndexFunc(all, same); i >= 0 {
				all[i].Count += n
				continue
			}
			all = append(all, Answers{kinds[kind], codes[code], n})
		}
	}
	return all
}

// observed notes the status and the size of an answer.
type observed struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	n, err := o.ResponseWriter.Write(b)
	o.bytes += int64(n)
	return n, err
}

// WriteShared implements http1.Sharer.
func (o *observed) WriteShared(b []byte) (int, error) {
	n, err := http1.WriteShared(o.ResponseWriter, b)
	o.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// gathering is observed over a connection that takes many pieces, or a file, at once.
type gathering struct{ *observed }

func (g gathering) ReadFrom(r io.Reader) (int64, error) {
	n, err := g.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
	g.bytes += n
	return n, err
}

// observe returns what to answer through, and what to give to add afterwards.
func (a *answers) observe(w http.ResponseWriter) (http.ResponseWriter, *observed) {
	o, ok := a.idle.Get().(*observed)
	if !ok {
		o = new(observed)
	}
	*o = observed{ResponseWriter: w, status: http.StatusOK}
	if _, gathers := w.(io.ReaderFrom); gathers {
		return gathering{o}, o
	}
	return o, o
}
