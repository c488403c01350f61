package keys

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"livego/internal/redisconn"
)

const (
	opTimeout = redisconn.OpTimeout
	// migrateAttempts bounds the rounds in which another node or LiveGo itself may change the entry
	// under our hands.
	migrateAttempts = 3
	// mgetSize keeps Redis, which serves one request at a time, from being held up by one node with
	// many publishers.
	mgetSize = 1000
	// replyFields is what every script returns: a status and two strings.
	replyFields = 3
)

//go:embed lua/layout.lua
var layoutLua string

//go:embed lua/get.lua
var getLua string

//go:embed lua/has.lua
var hasLua string

//go:embed lua/set.lua
var setLua string

//go:embed lua/delete.lua
var deleteLua string

//go:embed lua/lease.lua
var leaseLua string

//go:embed lua/migrate.lua
var migrateLua string

// redisStore is a store in Redis that any number of nodes share; lua/layout.lua draws the layout.
// Each operation is one script and so atomic.
//
// A revocation writes a new random token for the room and announces the room's name. A lease
// remembers the token that was there when it was made; a node that hears of the room, finds its
// subscription broken, or has not looked for recheckInterval compares the two. So a lost message
// costs time only; a change that keeps leases just leaves the token alone; and leases outlive a
// Redis that has lost its data, as a missing token says nothing. Tokens expire after a week: a node
// that was cut off for longer keeps a revoked publisher until the next revocation.
type redisStore struct {
	client   redis.UniversalClient
	prefix   string // of all keys
	maxRooms int
	log      *slog.Logger
	leases   leases
	accepted accepted

	get, has, set, delete, lease, migrate *redis.Script

	// silence is how long the subscription may be silent before it is pinged, and again before it
	// counts as broken.
	silence time.Duration
	wake    chan struct{}
	stop    context.CancelFunc
	done    sync.WaitGroup
}

var _ Store = (*redisStore)(nil)

// OpenRedis returns a store in the Redis that o names, which need not be up: until it is, calls
// return ErrUnavailable, at the latest after two seconds. Keys that LiveGo itself stored there are
// honoured, unless their room's name is not one that CanonicalName returns (ErrBadRoom).
func OpenRedis(o Options) (Store, error) {
	s, err := newRedisStore(o.withDefaults())
	if err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

func newRedisStore(o Options) (*redisStore, error) {
	client, err := redisconn.Open(o.RedisAddr, o.RedisPassword)
	if err != nil {
		return nil, err
	}
	script := func(source string) *redis.Script { return redis.NewScript(layoutLua + source) }
	return &redisStore{
		client:   client,
		prefix:   redisconn.Prefix(o.RedisPrefix),
		maxRooms: o.MaxRooms,
		accepted: accepted{keep: o.CacheTime},
		log:      o.Log,
		get:      script(getLua),
		has:      script(hasLua),
		set:      script(setLua),
		delete:   script(deleteLua),
		lease:    script(leaseLua),
		migrate:  script(migrateLua),
		silence:  recheckInterval,
		wake:     make(chan struct{}, 1),
	}, nil
}

// start starts the goroutines that Close ends.
func (s *redisStore) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.listen(ctx) })
	s.done.Go(func() { watch(ctx, s.wake, s.recheckAll) })
}

func (s *redisStore) Get(ctx context.Context, room string) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	key := newKey()
	reply, err := s.run(ctx, s.get, room, key, hexDigest(key), s.maxRooms)
	if err != nil {
		return "", err
	}
	return reply[1], nil
}

func (s *redisStore) Set(ctx context.Context, room, key string) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	if err := checkChosen(room, key); err != nil {
		return err
	}
	return s.replace(ctx, room, key, false)
}

func (s *redisStore) Reset(ctx context.Context, room string, keep bool) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	key := newKey()
	if err := s.replace(ctx, room, key, keep); err != nil {
		return "", err
	}
	return key, nil
}

func (s *redisStore) replace(ctx context.Context, room, key string, keep bool) error {
	_, err := s.run(ctx, s.set, room, key, hexDigest(key), s.maxRooms, keep, rand.Text())
	s.heard(room)
	return err
}

func (s *redisStore) Delete(ctx context.Context, room string, keep bool) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	_, err = s.run(ctx, s.delete, room, keep, rand.Text())
	s.heard(room)
	return err
}

func (s *redisStore) Lease(ctx context.Context, key string) (*Lease, error) {
	if !WellFormed(key) {
		return nil, ErrUnknownKey
	}
	l, err := s.leaseNow(ctx, key)
	switch {
	case err == nil:
		s.accepted.add(key, l)
	case errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
		if room, epoch, ok := s.accepted.find(key); ok {
			return s.leases.add(room, epoch), nil
		}
	default:
		s.accepted.forgetKey(key)
	}
	return l, err
}

// leaseNow asks Redis for a lease.
func (s *redisStore) leaseNow(ctx context.Context, key string) (*Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	reply, err := s.run(ctx, s.lease, key, hexDigest(key))
	if err != nil {
		return nil, err
	}
	l := s.leases.add(reply[1], reply[2])
	// A revocation between the script and add was announced to a node that did not hold the lease
	// yet.
	err = s.recheck(ctx, []*Lease{l})
	if err == nil && l.isRevoked() {
		err = ErrUnknownKey
	}
	if err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

func (s *redisStore) Has(ctx context.Context, room string) (bool, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	_, err = s.reply(ctx, s.has, room)
	if errors.Is(err, ErrNoRoom) {
		return false, nil
	}
	return err == nil, err
}

// Rooms leaves out those that LiveGo stored and that nobody has used since.
func (s *redisStore) Rooms(ctx context.Context, after string, limit int) ([]string, error) {
	if limit <= 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	from := "(" + after
	if after == "" {
		from = "-"
	}
	// The client has no other call for this that Redis before 6.2 knows.
	rooms, err := s.client.Do(ctx, "ZRANGEBYLEX", s.prefix+":rooms", from, "+", "LIMIT", 0, limit).StringSlice()
	if err != nil {
		return nil, redisUnavailable(err)
	}
	return rooms, nil
}

func (s *redisStore) Close() error {
	s.stop()
	s.done.Wait()
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("closing the connections to Redis: %w", err)
	}
	return nil
}

// run runs a script and returns its reply. If that says that the old layout alone knows the room,
// the room is moved and the script run again.
func (s *redisStore) run(ctx context.Context, script *redis.Script, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	for range migrateAttempts {
		reply, err := s.reply(ctx, script, args...)
		if err != nil || reply[0] != "old" {
			return reply, err
		}
		room, key := reply[1], reply[2]
		if err := checkOld(room); err != nil {
			return nil, fmt.Errorf("the key's room, stored by LiveGo: %w", err)
		}
		if _, err := s.reply(ctx, s.migrate, room, key, hexDigest(key)); err != nil {
			return nil, err
		}
	}
	return nil, reason(ErrUnavailable, "the room's entry in LiveGo's layout keeps changing")
}

// checkOld says why a room's name that LiveGo stored cannot be one here.
func checkOld(room string) error {
	if canonical, err := CanonicalName(room); err != nil || canonical == room {
		return err
	}
	return reason(ErrBadRoom, "it is not in Unicode's form NFC, or holds characters that nobody sees")
}

// reply runs a script once and turns its refusals into errors.
func (s *redisStore) reply(ctx context.Context, script *redis.Script, args ...any) ([]string, error) {
	reply, err := script.Run(ctx, s.client, []string{s.prefix}, args...).StringSlice()
	if err != nil {
		return nil, redisUnavailable(err)
	}
	if len(reply) != replyFields {
		return nil, reason(ErrUnavailable, fmt.Sprintf("redis: the script returned %d fields", len(reply)))
	}
	switch reply[0] {
	case "full":
		return nil, ErrTooManyRooms
	case "in use":
		return nil, ErrKeyInUse
	case "no room":
		return nil, ErrNoRoom
	case "unknown":
		return nil, ErrUnknownKey
	}
	return reply, nil
}

// recheck revokes those of the leases whose room was revoked after they were made.
func (s *redisStore) recheck(ctx context.Context, held []*Lease) error {
	for part := range slices.Chunk(held, mgetSize) {
		entries := make([]string, len(part))
		for i, l := range part {
			entries[i] = s.prefix + ":revoked:" + l.Room
		}
		tokens, err := s.client.MGet(ctx, entries...).Result()
		if err != nil {
			return redisUnavailable(err)
		}
		for i, l := range part {
			if token, ok := tokens[i].(string); ok && token != l.epoch {
				l.revoke()
			}
		}
	}
	s.accepted.confirm(held)
	return nil
}

func (s *redisStore) recheckAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return s.recheck(ctx, s.leases.all())
}

// redisUnavailable takes care that the text has none of the arguments that Redis repeats when it
// does not know a command.
func redisUnavailable(err error) error {
	if text, _, found := strings.Cut(err.Error(), ", with args"); found {
		err = errors.New(text)
	}
	return fmt.Errorf("%w: redis: %w", ErrUnavailable, err)
}

func hexDigest(key string) string {
	hash := digestOf(key)
	return hex.EncodeToString(hash[:])
}
