package v1

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
)

// Sessions are who is connected.
type Sessions interface {
	Sessions() List[Session]
	// Kick disconnects a session, and says whether there was one.
	Kick(id, reason string) bool
}

// Session is a publisher, or a viewer over a connection of its own. Viewers of HLS have none.
type Session struct {
	ID        string    `json:"id" example:"YWJjZGVmZ2hpamts"`
	Stream    string    `json:"stream" doc:"app/room" example:"live/movie"`
	Rendition string    `json:"rendition"`
	Role      string    `json:"role" enum:"publisher,viewer"`
	Protocol  string    `json:"protocol" doc:"rtmp, rtmps, http-flv, ws-flv, or pull- and the scheme of where a stream is pulled from." example:"rtmp"`
	Address   string    `json:"address" doc:"The client's address and port."`
	Agent     string    `json:"agent,omitempty" doc:"What the client calls itself."`
	Since     time.Time `json:"since"`
	Bytes     uint64    `json:"bytes" doc:"Payload of media."`
	BitRate   uint64    `json:"bit_rate" doc:"bit/s, mean of 5 s."`
	Lag       float64   `json:"lag" doc:"Seconds by which a viewer's connection is behind."`
	Jumps     uint64    `json:"jumps" doc:"How often a viewer was moved forward because it had fallen behind."`
	Node      string    `json:"node,omitempty" doc:"The node of the cluster to which the client is connected; not there if the server is alone."`
}

// key sorts sessions, the oldest first.
func (s Session) key() string { return fmt.Sprintf("%020d %s", s.Since.UnixNano(), s.ID) }

// SessionFilter picks sessions.
type SessionFilter struct {
	Stream   string `query:"stream" maxLength:"1024" doc:"app/room" example:"live/movie"`
	Role     string `query:"role" enum:"publisher,viewer"`
	Protocol string `query:"protocol" maxLength:"32" example:"http-flv"`
	Node     string `query:"node" maxLength:"64" doc:"The node of the cluster to which the client is connected." example:"node-1"`
}

// SessionPath names a session.
type SessionPath struct {
	ID string `path:"id" maxLength:"64"`
}

// SessionAnswer is a session.
type SessionAnswer struct{ Body Session }

func (a *API) sessions() {
	const tag = "Sessions"
	huma.Register(a.api, operation("listSessions", http.MethodGet, "/sessions", tag, "Who publishes and watches, the oldest first"),
		func(_ context.Context, in *struct {
			Paging
			SessionFilter
		}) (*Listing[Session], error) {
			return page(in.Paging, "sessions", a.opt.Sessions.Sessions().only(in.picks), Session.key)
		})
	huma.Register(a.api, operation("getSession", http.MethodGet, "/sessions/{id}", tag, "One session", http.StatusNotFound),
		func(_ context.Context, in *SessionPath) (*SessionAnswer, error) {
			s, ok := a.opt.Sessions.Sessions().find(func(s Session) bool { return s.ID == in.ID })
			if !ok {
				return nil, noSession()
			}
			return &SessionAnswer{s}, nil
		})
	kick := operation("kickSession", http.MethodDelete, "/sessions/{id}", tag, "Disconnect a publisher or a viewer", http.StatusNotFound)
	kick.Description = "The stream of a publisher waits for its return (republish_grace). To end the stream, delete the stream."
	huma.Register(a.api, kick, func(_ context.Context, in *struct {
		SessionPath
		Why
	}) (*struct{}, error) {
		if !a.opt.Sessions.Kick(in.ID, in.text()) {
			return nil, noSession()
		}
		a.opt.Log.Info("session ended by the API", "id", trimmed(in.ID, 64), "reason", in.text())
		return nil, nil
	})
}

func (f SessionFilter) picks(s Session) bool {
	return (f.Stream == "" || s.Stream == keys.Normal(f.Stream)) && (f.Role == "" || s.Role == f.Role) &&
		(f.Protocol == "" || s.Protocol == f.Protocol) && (f.Node == "" || s.Node == f.Node)
}

func noSession() error {
	return problem(http.StatusNotFound, "path.id", "there is no such session")
}
