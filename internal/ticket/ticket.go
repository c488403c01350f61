package ticket

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxToken is above any token that makes sense, in bytes.
	MaxToken = 8 << 10
	// maxPaths and maxPath bound what one token opens, and the length of each entry in bytes.
	maxPaths = 64
	maxPath  = 512
	// maxID bounds a token's jti in bytes.
	maxID = 128
	// remembered bounds the tokens that are known to be good, and the revoked ones.
	remembered = 64 << 10
	// leeway is how far the clocks of the token's maker and of the server may differ.
	leeway = 10 * time.Second
)

// Why a token opens nothing. Each is one line that a viewer may see.
var (
	ErrMissing   = errors.New("a token is required")
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the token's key, algorithm or signature is wrong")
	ErrExpired   = errors.New("the token has expired")
	ErrNotYet    = errors.New("the token is not valid yet")
	ErrRevoked   = errors.New("the token was revoked")
	ErrStream    = errors.New("the token is for another stream")
	ErrAddress   = errors.New("the token is for another address")
	// ErrFull: so many tokens are revoked that no further one can be.
	ErrFull = fmt.Errorf("%d tokens are revoked, more are not possible", remembered)
	// ErrNoKey: there is no key with which tokens could be made.
	ErrNoKey = errors.New("no viewer key can sign tokens")
)

// claims are what a token says (RFC 7519 §4.1, and ours).
type claims struct {
	jwt.RegisteredClaims
	// Paths are streams like live/movie, or live/team/* for all that begin so.
	Paths []string `json:"paths,omitempty"`
	// End is when watching must be over, in Unix seconds.
	End *jwt.NumericDate `json:"end,omitempty"`
	// IP is the only address that may use it.
	IP string `json:"ip,omitempty"`
}

// Grant is what a good token allows.
type Grant struct {
	// ID is the token's jti, or 8 hexadecimal digits of its hash: what logs may show.
	ID string
	// Until is when watching must be over; zero: never.
	Until time.Time
}

// Options configures a Checker.
type Options struct {
	Keys []KeyOptions
	// SessionMax is for how long a token that was used in time goes on to be good after its exp; 0:
	// exp is a hard end.
	SessionMax time.Duration
}

// Checker checks tokens, and makes them. Its methods may be called from any goroutine.
type Checker struct {
	keys   []key
	max    time.Duration
	parser *jwt.Parser

	mu      sync.Mutex
	known   map[[sha256.Size]byte]*list.Element // of *entry
	recent  *list.List                          // latest use first
	revoked map[string]time.Time                // by jti, until when
}

// entry is a token whose signature was good.
type entry struct {
	hash   [sha256.Size]byte
	grant  Grant
	paths  []string
	addr   netip.Addr // invalid: any
	jti    string
	expiry time.Time // latest first use; zero: none
	end    time.Time // of all use; zero: none
}

// New reads the keys.
func New(opt Options) (*Checker, error) {
	if len(opt.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: %d keys, at most %d", ErrBadKey, len(opt.Keys), maxKeys)
	}
	c := &Checker{
		max: opt.SessionMax, known: make(map[[sha256.Size]byte]*list.Element), recent: list.New(), revoked: make(map[string]time.Time),
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
	}
	seen := make(map[string]bool)
	for _, o := range opt.Keys {
		k, err := newKey(o)
		if err != nil {
			return nil, fmt.Errorf("viewer key %q: %w", o.ID, err)
		}
		if seen[o.ID] || o.ID == "" && len(opt.Keys) > 1 {
			return nil, fmt.Errorf("viewer key %q: %w: each of several keys needs a kid of its own", o.ID, ErrBadKey)
		}
		seen[o.ID] = true
		c.keys = append(c.keys, k)
	}
	return c, nil
}

// Check says what a token allows for a stream (app/stream) to a viewer at an address. The error is
// one of those above.
func (c *Checker) Check(token, stream string, addr netip.Addr) (Grant, error) {
	return c.check(token, stream, addr, time.Now())
}

func (c *Checker) check(token, stream string, addr netip.Addr, now time.Time) (Grant, error) {
	switch {
	case token == "":
		return Grant{}, ErrMissing
	case len(token) > MaxToken:
		return Grant{}, ErrMalformed
	}
	hash := sha256.Sum256([]byte(token))
	e, err := c.recall(hash, now)
	if e == nil && err == nil {
		if e, err = c.read(token, hash, now); err == nil {
			err = c.remember(e, now)
		}
	}
	switch {
	case err != nil:
		return Grant{}, err
	case !e.opens(stream):
		return Grant{}, ErrStream
	case e.addr.IsValid() && e.addr != addr.Unmap():
		return Grant{}, ErrAddress
	}
	return e.grant, nil
}

// recall returns a token that is known to be good, nil if it is not known.
func (c *Checker) recall(hash [sha256.Size]byte, now time.Time) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place := c.known[hash]
	if place == nil {
		return nil, nil
	}
	e := place.Value.(*entry)
	if c.isRevoked(e.jti, now) {
		return nil, ErrRevoked
	}
	if !e.grant.Until.IsZero() && !now.Before(e.grant.Until) {
		c.forget(place)
		return nil, ErrExpired
	}
	c.recent.MoveToFront(place)
	return e, nil
}

// remember keeps a token that was used for the first time, in time.
func (c *Checker) remember(e *entry, now time.Time) error {
	switch {
	case !e.expiry.IsZero() && now.After(e.expiry.Add(leeway)):
		return ErrExpired
	case !e.end.IsZero() && !now.Before(e.end):
		return ErrExpired
	}
	e.grant.Until = e.until(now, c.max)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isRevoked(e.jti, now) {
		return ErrRevoked
	}
	if c.known[e.hash] != nil {
		return nil // another request was first
	}
	c.known[e.hash] = c.recent.PushFront(e)
	if c.recent.Len() > remembered {
		c.forget(c.recent.Back())
	}
	return nil
}

// until is when watching must be over that begins now.
func (e *entry) until(now time.Time, sessionMax time.Duration) time.Time {
	until := e.end
	if !e.expiry.IsZero() {
		last := e.expiry.Add(leeway)
		if sessionMax > 0 && now.Add(sessionMax).After(last) {
			last = now.Add(sessionMax)
		}
		if until.IsZero() || last.Before(until) {
			until = last
		}
	}
	return until
}

// forget lets go of a token. The caller holds mu.
func (c *Checker) forget(place *list.Element) {
	delete(c.known, c.recent.Remove(place).(*entry).hash)
}

// read parses a token and checks its signature.
func (c *Checker) read(token string, hash [sha256.Size]byte, now time.Time) (*entry, error) {
	var said claims
	parsed, err := c.parser.ParseWithClaims(token, &said, c.keyOf)
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, ErrMalformed
	case err != nil || parsed == nil || !parsed.Valid:
		return nil, ErrSignature
	}
	e := &entry{hash: hash, paths: said.Paths, jti: said.ID}
	if said.Subject != "" {
		e.paths = append(e.paths, said.Subject)
	}
	if len(e.paths) > maxPaths || len(said.ID) > maxID {
		return nil, ErrMalformed
	}
	for _, path := range e.paths {
		if len(path) > maxPath {
			return nil, ErrMalformed
		}
	}
	if said.NotBefore != nil && now.Add(leeway).Before(said.NotBefore.Time) {
		return nil, ErrNotYet
	}
	if said.ExpiresAt != nil {
		e.expiry = said.ExpiresAt.Time
	}
	if said.End != nil {
		e.end = said.End.Time
	}
	if said.IP != "" {
		if e.addr, err = netip.ParseAddr(said.IP); err != nil {
			return nil, ErrMalformed
		}
		e.addr = e.addr.Unmap()
	}
	e.grant.ID = said.ID
	if e.grant.ID == "" {
		e.grant.ID = hex.EncodeToString(hash[:4])
	}
	return e, nil
}

// keyOf finds the key that a token names. Its algorithm is the key's, whatever the token says, and
// a token with an extension that must be understood is not (RFC 7515 §4.1.11).
func (c *Checker) keyOf(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, ErrSignature
	}
	id, named := t.Header["kid"].(string)
	if _, there := t.Header["kid"]; there && !named {
		return nil, ErrSignature
	}
	for _, k := range c.keys {
		if k.id != id && (named && k.id != "" || len(c.keys) > 1) {
			continue
		}
		if k.method.Alg() != t.Method.Alg() {
			return nil, ErrSignature
		}
		return k.verify, nil
	}
	return nil, ErrSignature
}

// opens says whether the token is for a stream.
func (e *entry) opens(stream string) bool {
	for _, path := range e.paths {
		if path == stream {
			return true
		}
		if prefix, all := strings.CutSuffix(path, "/*"); all && prefix != "" && strings.HasPrefix(stream, prefix+"/") {
			return true
		}
	}
	return false
}

// Revoke lets the token with that jti open nothing any more, until a time; zero: for good. It fails
// with ErrFull, or with ErrMalformed for what is no jti.
func (c *Checker) Revoke(jti string, until time.Time) error {
	if jti == "" || len(jti) > maxID {
		return ErrMalformed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.revoked) >= remembered {
		maps.DeleteFunc(c.revoked, func(id string, _ time.Time) bool { return !c.isRevoked(id, time.Now()) })
	}
	if _, known := c.revoked[jti]; !known && len(c.revoked) >= remembered {
		return ErrFull
	}
	c.revoked[jti] = until
	return nil
}

// IsRevoked says whether the token with that jti is revoked.
func (c *Checker) IsRevoked(jti string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isRevoked(jti, time.Now())
}

// Revoked returns what is revoked, and until when.
func (c *Checker) Revoked() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.revoked)
}

// GoOn takes over what another checker knows of tokens, before c is used: which are revoked, and,
// if c has all its keys, which are in use.
func (c *Checker) GoOn(before *Checker) {
	before.mu.Lock()
	defer before.mu.Unlock()
	maps.Copy(c.revoked, before.revoked)
	for _, k := range before.keys {
		if !slices.ContainsFunc(c.keys, func(o key) bool { return reflect.DeepEqual(o, k) }) {
			return
		}
	}
	for place := before.recent.Back(); place != nil; place = place.Prev() {
		e := *place.Value.(*entry)
		c.known[e.hash] = c.recent.PushFront(&e)
	}
}

// isRevoked is for who holds mu.
func (c *Checker) isRevoked(jti string, now time.Time) bool {
	until, ok := c.revoked[jti]
	return ok && (until.IsZero() || now.Before(until))
}

// IsPath says whether a token may name a path: app/stream or app/*.
func IsPath(path string) bool {
	app, stream, ok := strings.Cut(path, "/")
	return ok && app != "" && stream != "" && len(path) <= maxPath
}

// Wanted is what a new token is to allow.
type Wanted struct {
	// Paths are streams like live/movie, or live/team/*.
	Paths []string
	// Start is until when watching may begin, End when it must be over; zero: no limit.
	Start, End time.Time
	// Address is the only one that may use it; the zero value: any.
	Address netip.Addr
	// KeyID names the key; empty: the first that can sign.
	KeyID string
}

// Sign makes a token, with a jti of its own, which is returned too.
func (c *Checker) Sign(w Wanted) (token, jti string, err error) {
	i := -1
	for n, k := range c.keys {
		if k.sign != nil && (w.KeyID == "" || w.KeyID == k.id) {
			i = n
			break
		}
	}
	if i < 0 {
		return "", "", ErrNoKey
	}
	said := claims{RegisteredClaims: jwt.RegisteredClaims{ID: newID(), IssuedAt: jwt.NewNumericDate(time.Now())}}
	if len(w.Paths) == 1 {
		said.Subject = w.Paths[0]
	} else {
		said.Paths = w.Paths
	}
	if !w.Start.IsZero() {
		said.ExpiresAt = jwt.NewNumericDate(w.Start)
	}
	if !w.End.IsZero() {
		said.End = jwt.NewNumericDate(w.End)
	}
	if w.Address.IsValid() {
		said.IP = w.Address.Unmap().String()
	}
	t := jwt.NewWithClaims(c.keys[i].method, said)
	if c.keys[i].id != "" {
		t.Header["kid"] = c.keys[i].id
	}
	if token, err = t.SignedString(c.keys[i].sign); err != nil {
		return "", "", fmt.Errorf("signing a token: %w", err)
	}
	return token, said.ID, nil
}

// newID returns 22 characters that nobody can guess.
func newID() string { return rand.Text()[:22] }
