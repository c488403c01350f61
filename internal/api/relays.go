package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Relays moves streams between this server and others.
type Relays interface {
	// StartRelay begins one, of the direction push or pull, and returns once it runs, or waits for
	// its stream. It fails with one of the errors below, or with why the other server cannot be
	// had.
	StartRelay(ctx context.Context, direction, app, name, url string) error
	// StopRelay ends it; without URL all of that direction and stream.
	StopRelay(direction, app, name, url string) error
	// RelayList is what is written as JSON.
	RelayList() any
}

// What a Relays may fail with.
var (
	ErrRelayURL     = errors.New("bad relay")
	ErrRelayRunning = errors.New("the relay runs already")
	ErrNoRelay      = errors.New("no such relay")
)

// relays are /control/push and /control/pull, with LiveGo's parameters and texts.
type relays struct{ Relays }

func (c relays) push(r *http.Request) answer { return c.serve(r, "push") }
func (c relays) pull(r *http.Request) answer { return c.serve(r, "pull") }

func (c relays) serve(r *http.Request, direction string) answer {
	app, name, url := r.Form.Get("app"), r.Form.Get("name"), r.Form.Get("url")
	switch {
	case c.Relays == nil:
		return answer{http.StatusNotImplemented, "relays are not available"}
	case app == "" || name == "" || url == "":
		return answer{http.StatusBadRequest, "control push parameter error, please check them."}
	case r.Form.Get("oper") == "stop":
		return c.stop(direction, app, name, url)
	}
	err := c.StartRelay(r.Context(), direction, app, name, url)
	switch {
	case err == nil:
		return answer{http.StatusOK, fmt.Sprintf("<h1>%s url start %s ok</h1></br>", direction, url)}
	case errors.Is(err, ErrRelayURL):
		return answer{http.StatusBadRequest, direction + " error=" + err.Error()}
	case errors.Is(err, ErrRelayRunning):
		return answer{http.StatusConflict, direction + " error=" + err.Error()}
	}
	return answer{http.StatusBadGateway, direction + " error=" + err.Error()}
}

func (c relays) stop(direction, app, name, url string) answer {
	err := c.StopRelay(direction, app, name, url)
	switch {
	case err == nil:
		return answer{http.StatusOK, fmt.Sprintf("<h1>%s url stop %s ok</h1></br>", direction, url)}
	case errors.Is(err, ErrNoRelay):
		text := fmt.Sprintf("session key[%s:%s/%s] not exist, please check it again.", direction, app, name)
		if direction == "push" {
			text = "<h1>" + text + "</h1>"
		}
		return answer{http.StatusNotFound, text}
	}
	return answer{http.StatusBadRequest, direction + " error=" + err.Error()}
}

func (c relays) list(*http.Request) answer {
	if c.Relays == nil {
		return answer{http.StatusOK, []string{}}
	}
	return answer{http.StatusOK, c.RelayList()}
}
