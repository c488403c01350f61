package v1

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
)

// Keys is the part of a store of channel keys that the API works on. See keys.Store for its
// contract.
type Keys interface {
	Get(ctx context.Context, room string) (string, error)
	Set(ctx context.Context, room, key string) error
	Reset(ctx context.Context, room string, keep bool) (string, error)
	Delete(ctx context.Context, room string, keep bool) error
	Has(ctx context.Context, room string) (bool, error)
	Rooms(ctx context.Context, after string, limit int) ([]string, error)
}

var _ Keys = keys.Store(nil)

// Room is a name that has a channel key.
type Room struct {
	Name    string   `json:"name" example:"movie"`
	Streams []string `json:"streams" nullable:"false" doc:"Its streams that are on air, app/room."`
}

// Key is the channel key of a room.
type Key struct {
	Room string `json:"room" example:"movie"`
	Key  string `json:"key" doc:"A secret: who has it can publish."`
}

// RoomPath names a room in a path.
type RoomPath struct {
	Room string `path:"room" maxLength:"1024" doc:"Its name; a slash in it is %2F." example:"movie"`
}

// Condition is what a change may depend on.
type Condition struct {
	IfMatch string `header:"If-Match" maxLength:"256" doc:"The ETag of the key that is to be replaced."`
}

// Keep spares the publisher on the old key.
type Keep struct {
	Keep bool `query:"keep" doc:"Leave the publisher on the old key on air."`
}

// KeyAnswer is a channel key.
type KeyAnswer struct {
	ETag string `header:"ETag"`
	Body Key
}

func keyAnswer(room, key string) *KeyAnswer { return &KeyAnswer{etag(key), Key{room, key}} }

// etag tells keys apart and gives none away: they have too many bits to be guessed from a digest.
func etag(key string) string {
	sum := sha256.Sum256([]byte("etag " + key))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// RoomAnswer is a room. Its status is 201 if it is new.
type RoomAnswer struct {
	Status int
	Body   Room
}

func (a *API) rooms() {
	const tag, room, key = "Rooms", "/rooms/{room}", "/rooms/{room}/key"
	huma.Register(a.api, operation("listRooms", http.MethodGet, "/rooms", tag, "Rooms that have a channel key, by name"), a.listRooms)
	huma.Register(a.api, operation("getRoom", http.MethodGet, room, tag, "One room", http.StatusNotFound), a.getRoom)
	huma.Register(a.api, operation("putRoom", http.MethodPut, room, tag, "Make sure that there is a room", http.StatusInsufficientStorage), a.putRoom)
	huma.Register(a.api, operation("deleteRoom", http.MethodDelete, room, tag, "Forget a room and its channel key", http.StatusNotFound, http.StatusPreconditionFailed), a.deleteRoom)
	huma.Register(a.api, operation("getKey", http.MethodGet, key, tag, "The channel key of a room", http.StatusNotFound), a.getKey)
	huma.Register(a.api, operation("putKey", http.MethodPut, key, tag, "Give a room a channel key of your own",
		http.StatusConflict, http.StatusPreconditionFailed, http.StatusInsufficientStorage, http.StatusRequestEntityTooLarge), a.putKey)
	reset := operation("resetKey", http.MethodPost, key, tag, "Give a room a new channel key", http.StatusPreconditionFailed, http.StatusInsufficientStorage)
	reset.DefaultStatus = http.StatusOK
	huma.Register(a.api, reset, a.resetKey)
	huma.Register(a.api, operation("deleteKey", http.MethodDelete, key, tag, "Forget a channel key, and with it the room", http.StatusNotFound, http.StatusPreconditionFailed), a.deleteRoom)
}

func (a *API) listRooms(ctx context.Context, in *Paging) (*Listing[Room], error) {
	after, err := in.after("rooms")
	if err != nil {
		return nil, err
	}
	names, err := a.opt.Keys.Rooms(ctx, after, in.Limit+1)
	if err != nil {
		return nil, a.keyProblem("listing rooms", err)
	}
	out := new(Listing[Room])
	if len(names) > in.Limit {
		names = names[:in.Limit]
		out.Body.Next = cursorTo("rooms", names[in.Limit-1])
	}
	onAir := make(map[string][]string)
	for _, s := range a.opt.Streams.Streams().Items {
		_, room, _ := strings.Cut(s.Name, "/")
		onAir[room] = append(onAir[room], s.Name)
	}
	out.Body.Items = []Room{}
	for _, name := range names {
		out.Body.Items = append(out.Body.Items, newRoom(name, onAir[name]))
	}
	return out, nil
}

func newRoom(name string, streams []string) Room {
	slices.Sort(streams)
	return Room{name, append([]string{}, streams...)}
}

// room describes a room that there is.
func (a *API) room(name string) Room {
	var streams []string
	for _, s := range a.opt.Streams.Streams().Items {
		if _, room, _ := strings.Cut(s.Name, "/"); room == name {
			streams = append(streams, s.Name)
		}
	}
	return newRoom(name, streams)
}

// known returns the name of a room in the form in which it is kept, if there is one.
func (a *API) known(ctx context.Context, name string) (string, error) {
	name, err := keys.CanonicalName(name)
	if err != nil {
		return "", a.keyProblem("", err)
	}
	has, err := a.opt.Keys.Has(ctx, name)
	if err == nil && !has {
		err = keys.ErrNoRoom
	}
	if err != nil {
		return "", a.keyProblem("looking for a room", err)
	}
	return name, nil
}

func (a *API) getRoom(ctx context.Context, in *RoomPath) (*RoomAnswer, error) {
	name, err := a.known(ctx, in.Room)
	if err != nil {
		return nil, err
	}
	return &RoomAnswer{http.StatusOK, a.room(name)}, nil
}

func (a *API) putRoom(ctx context.Context, in *RoomPath) (*RoomAnswer, error) {
	name, err := keys.CanonicalName(in.Room)
	if err != nil {
		return nil, a.keyProblem("", err)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	has, err := a.opt.Keys.Has(ctx, name)
	if err == nil && !has {
		_, err = a.opt.Keys.Get(ctx, name)
	}
	if err != nil {
		return nil, a.keyProblem("making a room", err)
	}
	if has {
		return &RoomAnswer{http.StatusOK, a.room(name)}, nil
	}
	a.changed("room made", name)
	return &RoomAnswer{http.StatusCreated, a.room(name)}, nil
}

func (a *API) deleteRoom(ctx context.Context, in *struct {
	RoomPath
	Condition
	Keep
}) (*struct{}, error) {
	_, err := a.change(ctx, in.Room, in.Condition, "channel key deleted", func(room string) (string, error) {
		return "", a.opt.Keys.Delete(ctx, room, in.Keep.Keep)
	})
	return nil, err
}

func (a *API) getKey(ctx context.Context, in *RoomPath) (*KeyAnswer, error) {
	name, err := a.known(ctx, in.Room)
	if err != nil {
		return nil, err
	}
	key, err := a.opt.Keys.Get(ctx, name)
	if err != nil {
		return nil, a.keyProblem("reading a key", err)
	}
	return keyAnswer(name, key), nil
}

func (a *API) putKey(ctx context.Context, in *struct {
	RoomPath
	Condition
	Body struct {
		Key string `json:"key" minLength:"16" maxLength:"128" pattern:"^[0-9a-zA-Z]*$" doc:"16 to 128 letters and digits."`
	}
}) (*KeyAnswer, error) {
	return a.change(ctx, in.Room, in.Condition, "channel key set", func(room string) (string, error) {
		return in.Body.Key, a.opt.Keys.Set(ctx, room, in.Body.Key)
	})
}

func (a *API) resetKey(ctx context.Context, in *struct {
	RoomPath
	Condition
	Keep
}) (*KeyAnswer, error) {
	return a.change(ctx, in.Room, in.Condition, "channel key reset", func(room string) (string, error) {
		return a.opt.Keys.Reset(ctx, room, in.Keep.Keep)
	})
}

// change replaces the key of a room if the condition holds. Against changes by others than this API
// it holds at the time of the look.
func (a *API) change(ctx context.Context, room string, c Condition, what string, do func(room string) (string, error)) (*KeyAnswer, error) {
	room, err := keys.CanonicalName(room)
	if err != nil {
		return nil, a.keyProblem("", err)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.matches(ctx, room, c); err != nil {
		return nil, err
	}
	key, err := do(room)
	if err != nil {
		return nil, a.keyProblem(what, err)
	}
	a.changed(what, room)
	return keyAnswer(room, key), nil
}

// matches checks If-Match (RFC 9110 13.1.1).
func (a *API) matches(ctx context.Context, room string, c Condition) error {
	if c.IfMatch == "" {
		return nil
	}
	current := ""
	if has, err := a.opt.Keys.Has(ctx, room); err != nil {
		return a.keyProblem("reading a key", err)
	} else if has {
		key, err := a.opt.Keys.Get(ctx, room)
		if err != nil {
			return a.keyProblem("reading a key", err)
		}
		current = etag(key)
	}
	for tag := range strings.SplitSeq(c.IfMatch, ",") {
		if tag = strings.TrimSpace(tag); current != "" && (tag == "*" || tag == current) {
			return nil
		}
	}
	return problem(http.StatusPreconditionFailed, "header.If-Match", "the room has another key now, or none")
}

func (a *API) changed(what, room string) { a.opt.Log.Info(what, "room", room, "by", "API") }

// keyProblem turns an error of the store, whose texts never hold a key, into a problem.
func (a *API) keyProblem(what string, err error) error {
	switch {
	case errors.Is(err, keys.ErrNoRoom):
		return problem(http.StatusNotFound, "path.room", "there is no such room")
	case errors.Is(err, keys.ErrBadRoom):
		return problem(http.StatusUnprocessableEntity, "path.room", err.Error())
	case errors.Is(err, keys.ErrBadKey):
		return problem(http.StatusUnprocessableEntity, "body.key", err.Error())
	case errors.Is(err, keys.ErrKeyInUse):
		return problem(http.StatusConflict, "body.key", err.Error())
	case errors.Is(err, keys.ErrTooManyRooms):
		return problem(http.StatusInsufficientStorage, "", err.Error())
	case errors.Is(err, keys.ErrUnavailable):
		a.opt.Log.Error("key storage failed", "what", what, "err", err)
		return problem(http.StatusServiceUnavailable, "", "the storage of keys is not available now, try again")
	}
	return a.failed(what, err)
}
