package keys

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// recheckInterval bounds how long a publisher stays whose revocation this node did not hear of.
	recheckInterval = 30 * time.Second
	// retryDelay keeps a Redis that is down from being asked in a loop.
	retryDelay = time.Second
)

// watch calls check when woken, recheckInterval after the last call, and retryDelay after one that
// failed.
func watch(ctx context.Context, wake <-chan struct{}, check func(context.Context) error) {
	timer := time.NewTimer(recheckInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		delay := recheckInterval
		if check(ctx) != nil {
			delay = retryDelay
		}
		timer.Reset(delay)
	}
}

// wakeUp makes watch check all leases soon.
func (s *redisStore) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to check anyway
	}
}

// heard takes the news that leases of the room may have been revoked.
func (s *redisStore) heard(room string) {
	s.accepted.forgetRoom(room)
	if s.leases.holds(room) {
		s.wakeUp()
	}
}

// listen stays subscribed to revocations and logs when Redis goes away and comes back.
func (s *redisStore) listen(ctx context.Context) {
	down := false
	for ctx.Err() == nil {
		err := s.subscribe(ctx, func() {
			if down {
				s.log.InfoContext(ctx, "redis is back")
			}
			down = false
		})
		if ctx.Err() == nil && !down {
			down = true
			s.log.WarnContext(ctx, "redis is unreachable: publishers on air stay, no others get on air", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
}

// subscribe hears revocations until the connection breaks or ctx ends. A connection that is silent,
// even after a ping, counts as broken.
func (s *redisStore) subscribe(ctx context.Context, subscribed func()) error {
	ps := s.client.Subscribe(ctx, s.prefix+":revoked")
	defer ps.Close()
	// Receiving does not watch its context.
	defer context.AfterFunc(ctx, func() { ps.Close() })()
	pinged := false
	for {
		message, err := ps.ReceiveTimeout(ctx, s.silence)
		if isTimeout(err) && !pinged && ctx.Err() == nil {
			if err := ps.Ping(ctx); err != nil {
				return redisUnavailable(err)
			}
			pinged = true
			continue
		}
		if err != nil {
			return redisUnavailable(err)
		}
		pinged = false
		switch message := message.(type) {
		case *redis.Subscription:
			subscribed()
			s.wakeUp() // messages may have been lost before
		case *redis.Message:
			s.heard(message.Payload)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
