package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	v1 "livego/internal/api/v1"
	"livego/internal/cluster"
)

const (
	// maxRecordingPart bounds what another node says of one recording, in bytes.
	maxRecordingPart = 1 << 20
	// maxPlaces bounds the recordings of which a node remembers where they are, also that they are
	// nowhere, for placeTime. newPlaces is how many it looks for in a second.
	maxPlaces = 10_000
	placeTime = 10 * time.Second
	newPlaces = 100
	// passedAtOnce is how much of a file of another node is passed on at a time, in bytes; stalled
	// is how long that may take.
	passedAtOnce = 1 << 20
	stalled      = time.Minute
)

// errNoPlace: it is not known where a recording is.
var errNoPlace = errors.New("it is not known now which server has the recording, try again")

// recordingPlaces knows which nodes have which recordings.
type recordingPlaces struct {
	places *recent[string, cluster.Node] // without an id: nowhere
	asking *rate.Limiter

	mu    sync.Mutex
	asked map[string]*placeQuestion // under way, by recording
}

// placeQuestion is the question which node has a recording. Its answer holds once done is closed.
type placeQuestion struct {
	done chan struct{}
	at   cluster.Node // without an id: nowhere
	err  error
}

func newRecordingPlaces() *recordingPlaces {
	return &recordingPlaces{
		places: newRecent[string, cluster.Node](maxPlaces, placeTime, time.Now), asking: rate.NewLimiter(newPlaces, newPlaces),
		asked: make(map[string]*placeQuestion),
	}
}

// find returns the node that has a recording, one without an id for none: as it is remembered, or
// as ask says, which is asked once for all who want to know.
func (p *recordingPlaces) find(id string, ask func() (cluster.Node, error)) (cluster.Node, error) {
	p.mu.Lock()
	if at, _, known := p.places.get(id); known {
		p.mu.Unlock()
		return at, nil
	}
	q, under := p.asked[id]
	if !under {
		if !p.asking.Allow() {
			p.mu.Unlock()
			return cluster.Node{}, errNoPlace
		}
		q = &placeQuestion{done: make(chan struct{})}
		p.asked[id] = q
	}
	p.mu.Unlock()
	if under {
		<-q.done
		return q.at, q.err
	}
	if q.at, q.err = ask(); q.err == nil {
		p.places.put(id, q.at)
	}
	p.mu.Lock()
	delete(p.asked, id)
	p.mu.Unlock()
	close(q.done)
	return q.at, q.err
}

// recordedAt returns the other node that has a recording. It fails with v1.ErrNoRecording if none
// has it, and with errNoPlace if that is not known: nodes do not answer, or too much is asked.
func (n *node) recordedAt(id string) (cluster.Node, error) {
	o, err := n.recordings.find(id, func() (cluster.Node, error) { return n.findRecording(id) })
	if err == nil && o.ID == "" {
		err = v1.ErrNoRecording
	}
	return o, err
}

// findRecording asks the other nodes for a recording, and returns one without an id if none has it.
// It fails with errNoPlace.
func (n *node) findRecording(id string) (o cluster.Node, err error) {
	var mu sync.Mutex
	n.fromOthers(func(ctx context.Context, other cluster.Node) {
		part, fault := partOf[v1.Recording](ctx, n, other, recordsPath+"/"+url.PathEscape(id))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case fault != nil:
			err = errNoPlace
		case len(part) == 1:
			o = other
		}
	})
	if o.ID != "" {
		err = nil
	}
	return o, err
}

// serveOwnRecording tells another node of a recording that is here.
func (n *node) serveOwnRecording(w http.ResponseWriter, r *http.Request) {
	var part []v1.Recording
	if rec := n.recorder(); rec != nil {
		if found, err := rec.Get(r.PathValue("id")); err == nil {
			part = append(part, resources{n.Server}.shownRecording(found))
		}
	}
	writePart(w, part)
}

// serveOwnRecorded serves another node a file of a recording that is here.
func (n *node) serveOwnRecorded(w http.ResponseWriter, r *http.Request) {
	rec := n.recorder()
	if rec == nil {
		http.NotFound(w, r)
		return
	}
	http.StripPrefix(recordedPath, rec).ServeHTTP(w, r)
}

// serveRecordingElsewhere serves a file of a recording that another node has. It is false if the
// recording is here, or nowhere: nothing was answered then.
func (n *node) serveRecordingElsewhere(w http.ResponseWriter, r *http.Request, id string) bool {
	if id == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if rec := n.recorder(); rec != nil {
		if _, err := rec.Get(id); err == nil {
			return false
		}
	}
	o, err := n.recordedAt(id)
	if errors.Is(err, errNoPlace) {
		refuseFile(w, err, time.Second)
		return true
	}
	if err != nil {
		return false
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	guard := time.AfterFunc(stalled, cancel)
	defer guard.Stop()
	asked := make(http.Header)
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
		if values := r.Header.Values(name); len(values) > 0 {
			asked[name] = values
		}
	}
	resp, err := n.peers.Get(ctx, o, "/api"+recordedPath+r.URL.Path, r.URL.RawQuery, asked, nil)
	if err != nil {
		n.log.Debug("a recording of another node cannot be had", "node", o.ID, "recording", id, "err", err)
		refuseFile(w, errAway, time.Second)
		return true
	}
	defer resp.Body.Close()
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "X-Content-Type-Options", "Content-Type", "Content-Length", "Content-Range",
		"Accept-Ranges", "Content-Disposition", "Cache-Control", "Etag", "Last-Modified",
	} {
		if values := resp.Header.Values(name); len(values) > 0 {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodGet {
		passOn(w, resp.Body, guard)
	}
	return true
}

// passOn passes a body on, until one of both sides takes too long.
func passOn(w http.ResponseWriter, body io.Reader, guard *time.Timer) {
	control := http.NewResponseController(w)
	for {
		guard.Reset(stalled)
		_ = control.SetWriteDeadline(time.Now().Add(stalled)) // where there is none, there is none
		if _, err := io.CopyN(w, body, passedAtOnce); err != nil {
			return
		}
	}
}

// serveRecord does something about a recording for another node, and says why it cannot be done.
func (n *node) serveRecord(w http.ResponseWriter, r *http.Request) {
	var shown v1.Recording
	var err error
	switch q := r.URL.Query(); q.Get("do") {
	case recordingDelete:
		err = resources{n.Server}.deleteRecordingHere(q.Get("id"))
	default:
		shown, err = resources{n.Server}.recordingHere(q.Get("do"), q.Get("stream"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	writePart(w, []v1.Recording{shown})
}

// recordingAt has another node do something about a recording.
func (n *node) recordingAt(ctx context.Context, o cluster.Node, query url.Values) (r v1.Recording, err error) {
	resp, err := n.peers.Post(ctx, o, "/api"+recordPath, query.Encode())
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRecordingPart))
	if err != nil {
		return r, err
	}
	if resp.StatusCode != http.StatusOK {
		reason := strings.TrimSpace(string(body))
		for _, known := range []error{v1.ErrNotRecorded, v1.ErrNotPackaged, v1.ErrNoRecording, v1.ErrRecordingGoesOn} {
			if reason == known.Error() {
				return r, known
			}
		}
		return r, fmt.Errorf("node %s: %.200q", o.ID, reason)
	}
	var part []v1.Recording
	if err := json.Unmarshal(body, &part); err != nil || len(part) != 1 {
		return r, fmt.Errorf("node %s answers something else: %w", o.ID, err)
	}
	return part[0], nil
}
