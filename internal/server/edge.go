package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"livego/internal/cluster"
	"livego/internal/edge"
	"livego/internal/hls"
	"livego/internal/http1"
	"livego/internal/live"
	"livego/internal/watch"
)

const (
	// mournTime is for how long at least, or for the grace time of streams, the files of a stream
	// whose home died are not said to be gone: its encoder comes back somewhere.
	mournTime = 10 * time.Second
	// holdTime is for how long a request for a playlist waits for the next home. hls.js (1.7.4)
	// gives up after its third try.
	holdTime = 5 * time.Second
	// maxHomes bounds the streams of which it is remembered where they were.
	maxHomes = 10_000
)

// errHere: there is no other node to ask for the files of a stream.
var errHere = errors.New("no other node has the stream")

// noteHome notes which node has a stream.
func (n *node) noteHome(stream string, home cluster.Node) {
	if last, _, known := n.homes.get(stream); known && last.ID != home.ID {
		n.former.put(stream, last)
	}
	n.homes.put(stream, home)
}

// ServeHTTP serves HLS: files of streams that have their home here as they are made, and of others
// as their home makes them.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream := hls.StreamName(r.URL.Path)
	if stream != "" && n.redirectPlaylist(w, r, stream) {
		return
	}
	if stream == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		n.hls.ServeHTTP(w, r)
		return
	}
	if !n.isKnown(stream) && http1.Elsewhere(w) {
		return
	}
	away, err := n.isAway(r.Context(), stream)
	if errors.Is(err, cluster.ErrDied) && strings.HasSuffix(r.URL.Path, playlistSuffix) && n.bring(nameOf(stream), nil) > 0 {
		away = false // what the dead node brought is brought here
	}
	switch {
	case errors.Is(err, cluster.ErrFlood):
		refuseFile(w, err, time.Second)
		return
	case !away && !n.isBehind(stream, r.URL.Path):
		n.hls.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodGet && hls.IsWatched(r.URL.Path) {
		if !n.audiences.Knows(stream, r) && !n.viewerFitsHLS(stream) {
			refuseFile(w, errFull, 5*time.Second)
			return
		}
		n.audiences.See(stream, r)
	}
	n.serveFile(w, r, edge.File{Stream: stream, Straight: n.isStraight(r.Context(), stream)}, nil)
}

// isBehind says whether a file is not here because the stream had its home on another node a moment
// ago. Players here know of the file from there.
func (n *node) isBehind(stream, path string) bool {
	_, lately := n.lately(stream)
	return lately && n.hls.Lacks(path)
}

// lately returns which other node had a stream a moment ago, or has it.
func (n *node) lately(stream string) (home cluster.Node, ok bool) {
	home, seen, known := n.homes.get(stream)
	return home, known && time.Since(seen) <= mournTime
}

// isKnown says whether this node knows without a question where the files of a stream are.
func (n *node) isKnown(stream string) bool {
	_, holds := n.member.Holds(stream)
	return holds || n.homes.has(stream)
}

// servePosterElsewhere serves a picture of a stream that has its home on another node. It is false
// if there is no such stream: nothing was answered then.
func (n *node) servePosterElsewhere(w http.ResponseWriter, r *http.Request, stream string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if away, _ := n.isAway(r.Context(), stream); !away {
		return false
	}
	n.serveFile(w, r, edge.File{Stream: stream, Straight: n.isStraight(r.Context(), stream)}, nil)
	return true
}

// playlistSuffix ends the names of playlists.
const playlistSuffix = ".m3u8"

// serveFile answers with a file that another node has, of which the stream is known, and the way.
// via are the nodes that ask for it.
func (n *node) serveFile(w http.ResponseWriter, r *http.Request, f edge.File, via []string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	query, err := hls.Canonical(r.URL.Path, r.URL.RawQuery)
	if err != nil {
		h.Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.Path, f.Query, f.Gzip = r.URL.Path, query, hls.AcceptsGzip(r.Header["Accept-Encoding"])
	err = n.cache.Serve(w, r, f, via)
	switch {
	case err == nil:
	case errors.Is(err, errHere):
		n.hls.ServeHTTP(w, r)
	case errors.Is(err, edge.ErrBusy):
		refuseFile(w, err, time.Second)
	default:
		if !errors.Is(err, context.Canceled) {
			n.log.Debug("files of another node cannot be had", "stream", f.Stream, "err", err)
		}
		refuseFile(w, errAway, time.Second) // addresses of nodes are not for viewers
	}
}

// refuseFile says that there is something in the way of a file, and when to ask again.
func refuseFile(w http.ResponseWriter, why error, again time.Duration) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", strconv.Itoa(int(again/time.Second)))
	http.Error(w, why.Error(), http.StatusServiceUnavailable)
}

// isAway says whether the files of a stream are to be asked for at another node, which may have
// died a moment ago. The error is that nobody could tell.
func (n *node) isAway(ctx context.Context, stream string) (bool, error) {
	if _, holds := n.member.Holds(stream); holds {
		return false, nil
	}
	if n.homes.has(stream) {
		return true, nil
	}
	_, err := n.lookup(ctx, stream)
	return err == nil || errors.Is(err, cluster.ErrDied), err
}

// fetch asks for a file where its stream is, or was last.
func (n *node) fetch(ctx context.Context, f edge.File, via []string) (*http.Response, error) {
	header := http.Header{}
	if f.Gzip {
		header.Set("Accept-Encoding", "gzip")
	}
	folder, playlist := "/hls", strings.HasSuffix(f.Path, playlistSuffix)
	isMedia := !playlist && f.Path != statusPath
	if f.Path == statusPath {
		folder = "/api"
	}
	ask := n.lookup
	for began := time.Now(); ; ask = n.lookAgain {
		if _, holds := n.member.Holds(f.Stream); holds {
			if last, lately := n.lately(f.Stream); lately && isMedia {
				return n.fetchFormer(ctx, f, last, header, nil)
			}
			return nil, errHere
		}
		e, has, err := n.placeOf(ctx, f.Stream, ask)
		var way []cluster.Node
		switch {
		case err == nil:
			way = n.wayTo(e, f.Straight)
		case !has:
			return nil, err
		}
		var resp *http.Response
		for _, from := range way {
			resp, err = n.peers.Get(ctx, from, folder+f.Path, f.Query, header, via)
			if err != nil {
				continue
			}
			switch {
			case resp.StatusCode == http.StatusLoopDetected:
				err = cluster.ErrLoop
			case playlist && resp.StatusCode == http.StatusServiceUnavailable: // it ends, in order
				err = cluster.ErrDraining
			default:
				n.noteHome(f.Stream, e.Node)
				n.confirm(e, resp.Header)
				if last, _, moved := n.former.get(f.Stream); moved && isMedia && isEmpty(resp) {
					return n.fetchFormer(ctx, f, last, header, resp)
				}
				return resp, nil
			}
			resp.Body.Close()
		}
		if _, seen, known := n.homes.get(f.Stream); !has && known && time.Since(seen) > max(mournTime, n.now().opt.Live.Grace) {
			n.homes.forget(f.Stream)
			return nil, errHere
		}
		if !playlist || time.Since(began) > holdTime || !pauseFor(ctx, claimRetry) {
			return nil, err
		}
	}
}

// isEmpty says whether a node has no file of media. A segment of the life before is one that is
// missing there (200 without bytes).
func isEmpty(answer *http.Response) bool {
	return answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusOK && answer.ContentLength == 0
}

// fetchFormer asks for a file of media that the home of a stream does not have, where the stream
// was a moment ago. Otherwise the home's answer stays; nil: this node is the home.
func (n *node) fetchFormer(ctx context.Context, f edge.File, from cluster.Node, header http.Header, answer *http.Response) (*http.Response, error) {
	if from.ID == n.opt.ID {
		letGo(answer)
		return nil, errHere
	}
	resp, err := n.peers.Get(ctx, from, "/hls"+f.Path, f.Query, header, nil)
	if err == nil && resp.StatusCode == http.StatusOK && !isEmpty(resp) {
		letGo(answer)
		resp.Header.Del(cluster.HeaderToken)
		return resp, nil
	}
	letGo(resp)
	if answer == nil {
		return nil, errHere
	}
	return answer, nil
}

// letGo lets go of an answer, if there is one.
func letGo(answer *http.Response) {
	if answer != nil {
		answer.Body.Close()
	}
}

// confirm notes that a stream's home says that it is. That is not for viewers.
func (n *node) confirm(e cluster.Entry, h http.Header) {
	token, err := strconv.ParseInt(h.Get(cluster.HeaderToken), 10, 64)
	h.Del(cluster.HeaderToken)
	if err == nil {
		n.member.Confirm(e.Stream, e.Node.ID, token)
	}
}

// placeOf returns where the files of a stream are: at its home, or its last one. has: a node has
// it, or died a moment ago; then there is an error if nobody here has asked that for files.
func (n *node) placeOf(ctx context.Context, stream string, ask func(context.Context, string) (cluster.Entry, error)) (e cluster.Entry, has bool, err error) {
	e, err = ask(ctx, stream)
	if err == nil {
		return e, true, nil
	}
	has = errors.Is(err, cluster.ErrDied)
	if last, _, known := n.homes.get(stream); known {
		return cluster.Entry{Stream: stream, Node: last}, has, nil
	}
	if has {
		return e, true, err
	}
	return e, false, errHere
}

// statusPath is where nodes tell each other how a stream of theirs is; the query names it.
const statusPath = "/status"

// nodeStatus is what a home says of a stream: what everybody may know, and what only pages need.
type nodeStatus struct {
	watch.Status
	Settles int `json:"settles,omitempty"`
}

// serveStatus tells another node how a stream is.
func (n *node) serveStatus(w http.ResponseWriter, r *http.Request) {
	st := onAir{n.Server}.statusHere(nameOf(r.URL.Query().Get("stream")))
	body, err := json.Marshal(nodeStatus{st, st.Settles})
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "max-age=1")
	_, _ = w.Write(body) // the other node is gone if this fails
}

// statusTimeout bounds the time that a page waits for the status of a stream at another node.
const statusTimeout = 2 * time.Second

// status says how a stream of another node is, with its viewers here too. It is false if none has
// it.
func (n *node) status(name live.Name) (watch.Status, bool) {
	ctx, cancel := context.WithTimeout(n.ctx, statusTimeout)
	defer cancel()
	key := name.Key()
	if away, _ := n.isAway(ctx, key); !away {
		return watch.Status{}, false
	}
	body, found, err := n.cache.Get(ctx, edge.File{Stream: key, Path: statusPath, Query: url.Values{"stream": {key}}.Encode(), Straight: true})
	var st nodeStatus
	switch {
	case errors.Is(err, errHere):
		return watch.Status{}, false
	case err != nil, !found, json.Unmarshal(body, &st) != nil:
		return watch.Status{Stream: key, State: watch.Interrupted}, true
	}
	st.Status.Settles = st.Settles
	st.Viewers += n.sessions.playing(key) + n.audiences.Counts()[key]
	return st.Status, true
}
