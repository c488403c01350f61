package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
)

// The directions of a relay.
const (
	Push = "push"
	Pull = "pull"
)

// Relays moves streams between this server and others.
type Relays interface {
	Relays() List[Relay]
	// StartRelay begins one here, and returns once it runs, or waits for its stream, which may be
	// at any node. It fails with one of the errors below, or with why the other server cannot be
	// had.
	StartRelay(ctx context.Context, direction, stream, url string) (Relay, error)
	// StopRelay ends one at each node that has it, and says whether there was one.
	StopRelay(id string) bool
}

// What StartRelay may fail with.
var (
	ErrBadRelay     = errors.New("bad relay")
	ErrRelayRunning = errors.New("the relay runs already")
)

// Relay is a stream that is pushed to another server, or pulled from there.
type Relay struct {
	ID        string    `json:"id"`
	Stream    string    `json:"stream" doc:"The stream here, app/room." example:"live/movie"`
	Direction string    `json:"direction" enum:"push,pull"`
	URL       string    `json:"url" doc:"Without what may be a key or a password."`
	State     string    `json:"state" enum:"waiting,connecting,running,failed"`
	Since     time.Time `json:"since" doc:"Of the state."`
	Error     string    `json:"error,omitempty" doc:"Why the last connection ended."`
	Tries     uint64    `json:"tries" doc:"How often it connected, or tried to."`
	Bytes     uint64    `json:"bytes" doc:"Of media, in all connections."`
	Skipped   uint64    `json:"skipped" doc:"Access units that a slow server did not take."`
	Static    bool      `json:"static" doc:"It stands in the configuration."`
	Node      string    `json:"node,omitempty" doc:"The node of the cluster that has it; not there if the server is alone."`
}

// RelayURL is where a relay goes or comes from.
type RelayURL struct {
	URL string `json:"url" maxLength:"2048" minLength:"1" doc:"rtmp or rtmps with the stream's name or key, for pulls also http or https (FLV)." example:"rtmp://example.org/live/KEY"`
}

// NewPull is what a pull needs.
type NewPull struct {
	Stream string `json:"stream" maxLength:"1024" minLength:"1" doc:"The stream here, app/room." example:"live/movie"`
	RelayURL
}

// RelayPath names a relay.
type RelayPath struct {
	ID string `path:"id" maxLength:"64"`
}

// RelayAnswer is a relay.
type RelayAnswer struct{ Body Relay }

func (a *API) relays() {
	const tag, pushes = "Relays", "/streams/{name}/pushes"
	begin := []int{http.StatusConflict, http.StatusBadGateway, http.StatusRequestEntityTooLarge}
	huma.Register(a.api, operation("listPushes", http.MethodGet, pushes, tag, "To where a stream is pushed"),
		func(_ context.Context, in *struct {
			StreamPath
			Paging
		}) (*Listing[Relay], error) {
			return a.listRelays(in.Paging, Push, keys.Normal(in.Name))
		})
	huma.Register(a.api, operation("startPush", http.MethodPost, pushes, tag, "Push a stream to another server; it may come on air later", begin...),
		func(ctx context.Context, in *struct {
			StreamPath
			Body RelayURL
		}) (*RelayAnswer, error) {
			return a.startRelay(ctx, Push, "path.name", in.Name, in.Body.URL)
		})
	huma.Register(a.api, operation("stopPush", http.MethodDelete, pushes+"/{id}", tag, "End a push", http.StatusNotFound),
		func(_ context.Context, in *struct {
			StreamPath
			RelayPath
		}) (*struct{}, error) {
			return nil, a.stopRelay(in.ID, Push, keys.Normal(in.Name))
		})
	huma.Register(a.api, operation("listPulls", http.MethodGet, "/pulls", tag, "Streams that are pulled from other servers"),
		func(_ context.Context, in *Paging) (*Listing[Relay], error) { return a.listRelays(*in, Pull, "") })
	huma.Register(a.api, operation("startPull", http.MethodPost, "/pulls", tag, "Pull a stream from another server", begin...),
		func(ctx context.Context, in *struct{ Body NewPull }) (*RelayAnswer, error) {
			return a.startRelay(ctx, Pull, "body.stream", in.Body.Stream, in.Body.URL)
		})
	huma.Register(a.api, operation("stopPull", http.MethodDelete, "/pulls/{id}", tag, "End a pull", http.StatusNotFound),
		func(_ context.Context, in *RelayPath) (*struct{}, error) { return nil, a.stopRelay(in.ID, Pull, "") })
}

// relaysOf returns those of a direction, and of a stream unless that is empty.
func (a *API) relaysOf(direction, stream string) List[Relay] {
	return a.opt.Relays.Relays().only(func(r Relay) bool {
		return r.Direction == direction && (stream == "" || r.Stream == stream)
	})
}

func (a *API) listRelays(p Paging, direction, stream string) (*Listing[Relay], error) {
	return page(p, "relays", a.relaysOf(direction, stream), func(r Relay) string { return r.Stream + " " + r.ID + " " + r.Node })
}

func (a *API) startRelay(ctx context.Context, direction, location, stream, url string) (*RelayAnswer, error) {
	r, err := a.opt.Relays.StartRelay(ctx, direction, keys.Normal(stream), url)
	switch {
	case err == nil:
		a.opt.Log.Info("relay begun by the API", "direction", direction, "stream", r.Stream)
		return &RelayAnswer{r}, nil
	case errors.Is(err, keys.ErrBadRoom):
		return nil, problem(http.StatusUnprocessableEntity, location, err.Error())
	case errors.Is(err, ErrBadRelay):
		return nil, problem(http.StatusUnprocessableEntity, "body", err.Error())
	case errors.Is(err, ErrRelayRunning):
		return nil, problem(http.StatusConflict, "body.url", err.Error())
	}
	return nil, problem(http.StatusBadGateway, "body.url", trimmed(err.Error(), 200))
}

func (a *API) stopRelay(id, direction, stream string) error {
	if _, ok := a.relaysOf(direction, stream).find(func(r Relay) bool { return r.ID == id }); !ok || !a.opt.Relays.StopRelay(id) {
		return problem(http.StatusNotFound, "path.id", "there is no such relay")
	}
	a.opt.Log.Info("relay ended by the API", "direction", direction, "id", id)
	return nil
}
