package api

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"livego/internal/keys"
)

// control works on channel keys.
type control struct {
	keys Keys
	log  *slog.Logger
}

func (c control) get(r *http.Request) answer {
	room := r.Form.Get("room")
	if room == "" {
		return usage(r)
	}
	key, err := c.keys.Get(r.Context(), room)
	if err != nil {
		return c.failed(r, err)
	}
	return answer{http.StatusOK, key}
}

// set takes the key from the body only, as queries end up in the logs of proxies.
func (c control) set(r *http.Request) answer {
	room, key := r.Form.Get("room"), r.PostForm.Get("key")
	if room == "" || key == "" {
		return answer{http.StatusBadRequest, "POST /control/set needs room=<ROOM_NAME>&key=<KEY> in its body"}
	}
	if err := c.keys.Set(r.Context(), room, key); err != nil {
		return c.failed(r, err)
	}
	c.changed(r, "channel key set")
	return answer{http.StatusOK, key}
}

func (c control) reset(r *http.Request) answer {
	room := r.Form.Get("room")
	if room == "" {
		return usage(r)
	}
	key, err := c.keys.Reset(r.Context(), room, keepsPublisher(r))
	if err != nil {
		return c.failed(r, err)
	}
	c.changed(r, "channel key reset")
	return answer{http.StatusOK, key}
}

func (c control) delete(r *http.Request) answer {
	room := r.Form.Get("room")
	if room == "" {
		return usage(r)
	}
	if err := c.keys.Delete(r.Context(), room, keepsPublisher(r)); err != nil {
		return c.failed(r, err)
	}
	c.changed(r, "channel key deleted")
	return answer{http.StatusOK, "Ok"}
}

func usage(r *http.Request) answer {
	return answer{http.StatusBadRequest, "url: " + r.URL.Path + "?room=<ROOM_NAME>"}
}

// keepsPublisher says whether the publisher on the old key may stay on air.
func keepsPublisher(r *http.Request) bool {
	return slices.Contains([]string{"0", "false"}, r.Form.Get("kick"))
}

func (c control) changed(r *http.Request, what string) {
	c.log.Info(what, "room", r.Form.Get("room"), "remote", r.RemoteAddr)
}

// failed turns an error of the store, whose texts never hold a key, into an answer.
func (c control) failed(r *http.Request, err error) answer {
	switch {
	case errors.Is(err, keys.ErrNoRoom):
		return answer{http.StatusNotFound, "room not found"}
	case errors.Is(err, keys.ErrBadRoom), errors.Is(err, keys.ErrBadKey):
		return answer{http.StatusBadRequest, err.Error()}
	case errors.Is(err, keys.ErrKeyInUse):
		return answer{http.StatusConflict, err.Error()}
	case errors.Is(err, keys.ErrTooManyRooms):
		return answer{http.StatusInsufficientStorage, err.Error()}
	}
	c.log.Error("key storage failed", "path", r.URL.Path, "room", r.Form.Get("room"), "err", err)
	return answer{http.StatusInternalServerError, err.Error()}
}
