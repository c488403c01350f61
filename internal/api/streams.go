package api

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// streamList is the answer of /streams on the HTTP-FLV port: bare, without an envelope.
type streamList struct {
	Publishers []streamEntry `json:"publishers"`
	Players    []streamEntry `json:"players"`
}

type streamEntry struct {
	Key       string `json:"key"`
	ID        string `json:"id"`
	Rendition string `json:"rendition,omitempty"`
}

// listAge is for how long a list is good: to make one takes a look at all sessions, and everybody
// may ask.
const listAge = time.Second

// StreamsHandler serves the list of publishers and players to everybody, pages of any origin
// included. It names streams and nothing else about them.
func StreamsHandler(source Sessions) http.Handler {
	l := &latest{source: source}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			body, err := l.list()
			if err != nil {
				http.Error(w, "encoding the list", http.StatusInternalServerError)
				return
			}
			setHeaders(w, typeJSON)
			w.Write(body)
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", streamsMethods)
			h.Set("Access-Control-Allow-Headers", "*, Authorization")
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", streamsMethods)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		}
	})
}

const streamsMethods = "GET, HEAD, OPTIONS"

// latest is the list that was made last.
type latest struct {
	source Sessions

	mu   sync.Mutex
	made time.Time
	body []byte
}

func (l *latest) list() (body []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body == nil || time.Since(l.made) >= listAge {
		l.made = time.Now()
		l.body, err = listOf(l.source.Sessions())
	}
	return l.body, err
}

func listOf(sessions []Session) ([]byte, error) {
	list := streamList{[]streamEntry{}, []streamEntry{}}
	for _, s := range inOrder(sessions) {
		if s.Publisher {
			list.Publishers = append(list.Publishers, streamEntry{s.Key, s.ID, s.Rendition})
		} else {
			list.Players = append(list.Players, streamEntry{s.Key, s.ID, s.Rendition})
		}
	}
	return json.Marshal(list)
}
