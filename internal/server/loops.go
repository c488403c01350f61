package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	"livego/internal/hls"
	"livego/internal/live"
	"livego/internal/relay"
)

// maxServers is how many servers a stream may have passed by relays.
const maxServers = 8

var (
	// errLoop: a relay would bring a stream to itself.
	errLoop = errors.New("the relay leads back to its own stream")
	// errFar: a stream has passed more servers than anybody means.
	errFar = errors.New("the stream has passed too many servers")
)

// newMarker returns what the marks of this server's streams are made with. All nodes of a cluster
// have the same, for their streams are the same.
func newMarker(o ClusterOptions) []byte {
	if len(o.Secret) > 0 {
		mac := hmac.New(sha256.New, o.Secret[0])
		mac.Write([]byte("relays"))
		return mac.Sum(nil)
	}
	return []byte(newID())
}

// markOf is what servers that relay a stream tell each other of it, so that it is known when it
// comes back. It says nothing of the stream or the server.
func (s *Server) markOf(name live.Name) string {
	mac := hmac.New(sha256.New, s.marker)
	mac.Write([]byte(name.Key()))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// checkPath says why a stream may not come here by relays that has passed, or is asked for by way
// of, these servers.
func (s *Server) checkPath(name live.Name, path []string) error {
	switch {
	case len(path) == 0:
		return nil
	case slices.Contains(path, s.markOf(name)):
		return errLoop
	case len(path) >= maxServers:
		return errFar
	}
	return nil
}

// isCircle refuses a request for a file of HLS by a server, by way of others, that would relay a
// stream to itself. Otherwise the answer says which servers the stream has passed, and one that is
// brought on demand is asked for on behalf of these.
func (s *Server) isCircle(w http.ResponseWriter, r *http.Request, path []string) bool {
	stream := hls.StreamName(r.URL.Path)
	name := nameOf(stream)
	if app, ok := s.app(name.App); !ok || !app.HLS {
		return false
	}
	if err := s.checkPath(name, path); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusLoopDetected)
		return true
	}
	passed := []string{s.markOf(name)}
	if pub, onAir := s.hub.Lookup(name); onAir {
		passed = s.pathOf(pub)
	} else if s.node == nil || !s.node.isKnown(stream) {
		s.bring(name, path)
	}
	w.Header().Set(relay.HeaderPath, strings.Join(passed, ","))
	return false
}

// noteWay notes which servers a stream has passed.
func (s *Server) noteWay(name live.Name, path []string) {
	if len(path) == 0 {
		s.ways.forget(name)
		return
	}
	s.ways.put(name, path)
}

// pathOf returns which servers a stream on air has passed, this one last.
func (s *Server) pathOf(pub *live.Publication) []string {
	passed, _, _ := s.ways.get(pub.Name())
	return append(slices.Clone(passed), s.markOf(pub.Name()))
}

// relayPath returns what another server is told to or from which a stream is relayed.
func (s *Server) relayPath(r relay.Relay) []string {
	name := live.Name{App: r.App, Stream: r.Stream}
	if r.Direction == relay.Pull {
		return append(s.pulls.askers(name), s.markOf(name))
	}
	if pub, ok := s.hub.Lookup(name); ok {
		return s.pathOf(pub)
	}
	return []string{s.markOf(name)}
}
