package v1

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
	"livego/internal/ticket"
)

// Tokens makes and revokes the tokens with which viewers watch. *ticket.Checker makes them.
type Tokens interface {
	// Sign makes a token and returns its id. It fails with ticket.ErrNoKey.
	Sign(w ticket.Wanted) (token, id string, err error)
	// Revoke lets a token open nothing any more until a time, zero: for good, and ends the sessions
	// that it began. It fails with ticket.ErrMalformed or ticket.ErrFull.
	Revoke(id string, until time.Time) error
}

// NewToken says what a token is to allow.
type NewToken struct {
	Paths   []string `json:"paths" minItems:"1" maxItems:"64" nullable:"false" doc:"Streams, app/room, or app/* for all that begin so." example:"live/movie"`
	For     int      `json:"for,omitempty" minimum:"0" maximum:"315360000" doc:"For how many seconds watching may begin; 0: for good."`
	End     int      `json:"end,omitempty" minimum:"0" maximum:"315360000" doc:"After how many seconds watching must be over; 0: never."`
	Address string   `json:"address,omitempty" maxLength:"64" doc:"The only IP address that may use it."`
	Key     string   `json:"key,omitempty" maxLength:"128" doc:"The kid of the key to sign with; empty: the first that can."`
}

// Token is a new one.
type Token struct {
	ID    string `json:"id" doc:"Its jti, by which it can be revoked."`
	Token string `json:"token" doc:"A secret: who has it can watch. It stands in front of the path, /~TOKEN/live/movie/, or as ?token=TOKEN."`
}

// Until is how long a token is revoked.
type Until struct {
	Until time.Time `query:"until" doc:"Until when; without: for good. A time after which the token is over anyway saves memory."`
}

func (a *API) tokens() {
	const tag = "Tokens"
	huma.Register(a.api, operation("makeToken", http.MethodPost, "/tokens", tag, "Make a token for a viewer", http.StatusConflict, http.StatusRequestEntityTooLarge), a.makeToken)
	huma.Register(a.api, operation("revokeToken", http.MethodDelete, "/tokens/{id}", tag, "Revoke a token, and end the sessions that it began", http.StatusInsufficientStorage),
		func(_ context.Context, in *struct {
			ID string `path:"id" maxLength:"128"`
			Until
		}) (*struct{}, error) {
			switch err := a.opt.Tokens.Revoke(in.ID, in.Until.Until); {
			case errors.Is(err, ticket.ErrMalformed):
				return nil, problem(http.StatusUnprocessableEntity, "path.id", "this is no id of a token")
			case errors.Is(err, ticket.ErrFull):
				return nil, problem(http.StatusInsufficientStorage, "", err.Error())
			case err != nil:
				return nil, a.failed("revoking a token", err)
			}
			a.opt.Log.Info("token revoked", "by", "API")
			return nil, nil
		})
}

func (a *API) makeToken(_ context.Context, in *struct{ Body NewToken }) (*struct{ Body Token }, error) {
	w := ticket.Wanted{KeyID: in.Body.Key}
	for _, path := range in.Body.Paths {
		path = strings.Trim(keys.Normal(path), "/")
		if !ticket.IsPath(path) {
			return nil, problem(http.StatusUnprocessableEntity, "body.paths", "a path is not app/room or app/*")
		}
		w.Paths = append(w.Paths, path)
	}
	if in.Body.Address != "" {
		addr, err := netip.ParseAddr(in.Body.Address)
		if err != nil {
			return nil, problem(http.StatusUnprocessableEntity, "body.address", "this is no IP address")
		}
		w.Address = addr
	}
	if in.Body.For > 0 {
		w.Start = time.Now().Add(time.Duration(in.Body.For) * time.Second)
	}
	if in.Body.End > 0 {
		w.End = time.Now().Add(time.Duration(in.Body.End) * time.Second)
	}
	token, id, err := a.opt.Tokens.Sign(w)
	switch {
	case errors.Is(err, ticket.ErrNoKey):
		return nil, problem(http.StatusConflict, "", "no key of viewer_keys can sign such a token")
	case err != nil:
		return nil, a.failed("making a token", err)
	}
	return &struct{ Body Token }{Token{id, token}}, nil
}
