package api

import (
	"encoding/json"
	"net/http"
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

// StreamsHandler serves the list of publishers and players to everybody, pages of any origin included. It names streams and
// nothing else about them.
func StreamsHandler(source Sessions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			writeStreams(w, source.Sessions())
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", streamsMethods)
			h.Set("Access-Control-Allow-Headers", "*")
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", streamsMethods)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		}
	})
}

const streamsMethods = "GET, HEAD, OPTIONS"

func writeStreams(w http.ResponseWriter, sessions []Session) {
	list := streamList{[]streamEntry{}, []streamEntry{}}
	for _, s := range inOrder(sessions) {
		if s.Publisher {
			list.Publishers = append(list.Publishers, streamEntry{s.Key, s.ID, s.Rendition})
		} else {
			list.Players = append(list.Players, streamEntry{s.Key, s.ID, s.Rendition})
		}
	}
	body, err := json.Marshal(list)
	if err != nil {
		http.Error(w, "encoding the list", http.StatusInternalServerError)
		return
	}
	setHeaders(w, typeJSON)
	w.Write(body)
}
