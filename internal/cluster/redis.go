package cluster

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"livego/internal/pause"
	"livego/internal/redisconn"
)

//go:embed lua/layout.lua
var layoutLua string

//go:embed lua/beat.lua
var beatLua string

//go:embed lua/leave.lua
var leaveLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/free.lua
var freeLua string

//go:embed lua/lookup.lua
var lookupLua string

//go:embed lua/nodes.lua
var nodesLua string

// redisRegistry is a registry in Redis. Each operation is one script and so atomic; lua/layout.lua
// draws the layout.
type redisRegistry struct {
	client redis.UniversalClient
	prefix string

	beat, leave, claim, free, lookup, nodes *redis.Script
}

var _ Registry = (*redisRegistry)(nil)

// OpenRedis returns a registry in the Redis at an address as redisconn.Open takes it, which need
// not be up. prefix begins all keys, as redisconn.Prefix takes it.
func OpenRedis(address, password, prefix string) (Registry, error) {
	client, err := redisconn.Open(address, password)
	if err != nil {
		return nil, err
	}
	return newRedisRegistry(client, prefix), nil
}

func newRedisRegistry(client redis.UniversalClient, prefix string) *redisRegistry {
	script := func(source string) *redis.Script { return redis.NewScript(layoutLua + source) }
	return &redisRegistry{
		client: client, prefix: redisconn.Prefix(prefix),
		beat: script(beatLua), leave: script(leaveLua), claim: script(claimLua), free: script(freeLua), lookup: script(lookupLua), nodes: script(nodesLua),
	}
}

// run runs a script.
func (r *redisRegistry) run(ctx context.Context, s *redis.Script, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, redisconn.OpTimeout)
	defer cancel()
	reply, err := s.Run(ctx, r.client, []string{r.prefix}, args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return reply, nil
}

// twin is what scripts answer that renew a lease which another life of the node has.
const twin = "twin"

// renewal is the arguments that all scripts begin with that renew a lease.
func renewal(n Node) ([]any, error) {
	info, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("describing node %q: %w", n.ID, err)
	}
	return []any{n.ID, n.Boot, leaseTime.Milliseconds(), info, staleNode.Milliseconds(), keepHand.Milliseconds()}, nil
}

// Beat implements Registry.
func (r *redisRegistry) Beat(ctx context.Context, n Node, held []Held) (Beaten, error) {
	b := Beaten{Tokens: make(map[string]int64)}
	for first := true; first || len(held) > 0; first = false {
		batch := held[:min(len(held), maxBatch)]
		held = held[len(batch):]
		args, err := renewal(n)
		if err != nil {
			return b, err
		}
		for _, h := range batch {
			hand, err := handText(h.Hand)
			if err != nil {
				return b, err
			}
			args = append(args, h.Stream, h.Token, hand)
		}
		sent := time.Now()
		reply, err := r.run(ctx, r.beat, args...)
		if err != nil {
			return b, err
		}
		if word(reply) == twin {
			return b, ErrTwin
		}
		if err := b.read(reply, sent, time.Since(sent)); err != nil {
			return b, err
		}
	}
	return b, nil
}

// handText is a hand as the registry has it, empty for the zero one.
func handText(h Hand) (string, error) {
	if h == (Hand{}) {
		return "", nil
	}
	text, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("numbers of a stream: %w", err)
	}
	return string(text), nil
}

// read adds the answer to one call, which was sent at that time and took so long: the registry made
// it at some time between, and the clocks differ by what that does not explain.
func (b *Beaten) read(reply any, sent time.Time, took time.Duration) error {
	parts, _ := reply.([]any)
	if len(parts) != 3 {
		return errReply(reply)
	}
	clock, err := number(parts[0])
	if err != nil {
		return err
	}
	since := time.UnixMicro(clock).Sub(sent)
	b.Ahead = max(since-took, 0) + min(since, 0)
	tokens, _ := parts[1].([]any)
	for i := 0; i+1 < len(tokens); i += 2 {
		token, err := number(tokens[i+1])
		if err != nil {
			return err
		}
		b.Tokens[word(tokens[i])] = token
	}
	lost, _ := parts[2].([]any)
	for _, name := range lost {
		b.Lost = append(b.Lost, word(name))
	}
	return nil
}

// Leave implements Registry.
func (r *redisRegistry) Leave(ctx context.Context, id, boot string) error {
	_, err := r.run(ctx, r.leave, id, boot)
	return err
}

// Claim implements Registry.
func (r *redisRegistry) Claim(ctx context.Context, stream string, n Node) (Entry, error) {
	args, err := renewal(n)
	if err != nil {
		return Entry{}, err
	}
	reply, err := r.run(ctx, r.claim, append(args, stream)...)
	if err != nil {
		return Entry{}, err
	}
	if word(reply) == twin {
		return Entry{}, ErrTwin
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return Entry{}, errReply(reply)
	}
	e, err := readEntry(stream, parts[1])
	if err == nil && word(parts[0]) == "held" {
		err = ErrHeld
	}
	return e, err
}

// Free implements Registry.
func (r *redisRegistry) Free(ctx context.Context, stream string, n Node, token int64, hand Hand) error {
	text, err := handText(hand)
	if err != nil {
		return err
	}
	_, err = r.run(ctx, r.free, n.ID, n.Boot, token, stream, text, keepHand.Milliseconds())
	return err
}

// Lookup implements Registry.
func (r *redisRegistry) Lookup(ctx context.Context, stream string) (Entry, error) {
	all, err := r.find(ctx, stream)
	switch {
	case err != nil:
		return Entry{}, err
	case len(all) == 0:
		return Entry{}, ErrNotFound
	case !all[0].Node.Alive:
		return Entry{}, ErrDied
	}
	return all[0], nil
}

// find returns where streams are, or were until their node died a moment ago.
func (r *redisRegistry) find(ctx context.Context, streams ...any) ([]Entry, error) {
	reply, err := r.run(ctx, r.lookup, append([]any{int64(mourning / time.Second)}, streams...)...)
	if err != nil {
		return nil, err
	}
	rows, _ := reply.([]any)
	var all []Entry
	for _, row := range rows {
		parts, _ := row.([]any)
		if len(parts) != 3 {
			return nil, errReply(reply)
		}
		e, err := readEntry(word(parts[0]), parts[1])
		if err != nil {
			return nil, err
		}
		e.Node.Alive = word(parts[2]) == "1"
		all = append(all, e)
	}
	return all, nil
}

// Nodes implements Registry.
func (r *redisRegistry) Nodes(ctx context.Context) ([]Node, error) {
	reply, err := r.run(ctx, r.nodes, int64(staleNode/time.Second))
	if err != nil {
		return nil, err
	}
	rows, _ := reply.([]any)
	var all []Node
	for _, row := range rows {
		parts, _ := row.([]any)
		var n Node
		if len(parts) != 3 || json.Unmarshal([]byte(word(parts[2])), &n) != nil {
			continue // that is none of ours
		}
		n.ID, n.Alive = word(parts[0]), n.Boot != "" && word(parts[1]) == n.Boot
		all = append(all, n)
	}
	sortNodes(all)
	return all, nil
}

// Streams implements Registry.
func (r *redisRegistry) Streams(ctx context.Context, limit int) ([]Entry, error) {
	var all []Entry
	for cursor := uint64(0); ; {
		scan, cancel := context.WithTimeout(ctx, redisconn.OpTimeout)
		names, next, err := r.client.SScan(scan, r.prefix+":streams", cursor, "", maxBatch).Result()
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		args := make([]any, len(names))
		for i, name := range names {
			args[i] = name
		}
		if len(args) > 0 {
			found, err := r.find(ctx, args...)
			if err != nil {
				return nil, err
			}
			for _, e := range found {
				if e.Node.Alive {
					all = append(all, e)
				}
			}
		}
		if cursor = next; cursor == 0 || len(all) >= limit {
			return all[:min(len(all), limit)], nil
		}
	}
}

// Watch implements Registry.
func (r *redisRegistry) Watch(ctx context.Context, f func(Change)) error {
	subscription := r.client.Subscribe(ctx, r.prefix+":changed")
	defer subscription.Close()
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer stop()
	for {
		// A silent connection may be a dead one: it is pinged, and what was missed is unknown then.
		message, err := subscription.ReceiveTimeout(ctx, watchSilence)
		switch m := message.(type) {
		case *redis.Subscription:
			f(Change{})
		case *redis.Message:
			stream, node, _ := cutLast(m.Payload)
			f(Change{stream, node})
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !r.alive(ctx, subscription) {
			_ = pause.For(ctx, beatInterval)
		}
	}
}

// watchSilence is how long a subscription may be silent before it is pinged.
const watchSilence = 5 * time.Second

// alive pings a subscription, which connects again if need be.
func (r *redisRegistry) alive(ctx context.Context, s *redis.PubSub) bool {
	ctx, cancel := context.WithTimeout(ctx, redisconn.OpTimeout)
	defer cancel()
	return s.Ping(ctx) == nil
}

// Close implements Registry.
func (r *redisRegistry) Close() error { return r.client.Close() }

// readEntry reads {node, boot, token, since, hand, info}.
func readEntry(stream string, reply any) (Entry, error) {
	parts, _ := reply.([]any)
	if len(parts) != 6 {
		return Entry{}, errReply(reply)
	}
	e := Entry{Stream: stream}
	if json.Unmarshal([]byte(word(parts[5])), &e.Node) != nil {
		e.Node = Node{} // it says nothing of itself, and cannot be reached
	}
	e.Node.ID, e.Node.Boot = word(parts[0]), word(parts[1])
	var err error
	if e.Claim.Token, err = number(parts[2]); err != nil {
		return Entry{}, err
	}
	since, err := number(parts[3])
	if err != nil {
		return Entry{}, err
	}
	e.Claim.Since = time.UnixMilli(since)
	if json.Unmarshal([]byte(word(parts[4])), &e.Claim.Hand) != nil {
		e.Claim.Hand = Hand{}
	}
	return e, nil
}

func errReply(reply any) error {
	return fmt.Errorf("%w: answer %.64q", ErrUnavailable, fmt.Sprint(reply))
}

func word(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) (int64, error) {
	n, err := strconv.ParseInt(word(v), 10, 64)
	if err != nil {
		return 0, errReply(v)
	}
	return n, nil
}

// cutLast cuts around the last blank: names of streams may hold some.
func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
