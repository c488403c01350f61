package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"livego/internal/event"
	"livego/internal/hook"
	"livego/internal/live"
	"livego/internal/ticket"
)

// errRefused: whoever decides about publishers does not want this one.
var errRefused = errors.New("refused")

// errUndecided: whoever decides did not answer.
var errUndecided = fmt.Errorf("%w: it cannot be decided now, try again", errRefused)

// HookOptions says who is told what happens, and who is asked. The zero value: nobody.
type HookOptions struct {
	// URLs are told the events of these types; nil: all but those of viewers.
	URLs   []string
	Events []event.Type
	// Secrets sign what is sent.
	Secrets []hook.Secret
	// Timeout (2 s) bounds each call.
	Timeout time.Duration
	// SRS speaks to receivers as SRS does.
	SRS bool
	// PublishURL is asked about each publisher, ViewURL about viewers of apps with ViewersByHook.
	// AllowOnFailure is the answer if there is none.
	PublishURL     string
	ViewURL        string
	AllowOnFailure bool
}

// hooks are who is told and asked.
type hooks struct {
	dispatcher *hook.Dispatcher // nil: nobody is told
	publish    *hook.Asker      // nil: nobody is asked
	view       *hook.Cache      // the same for viewers
}

// hookCounts are of all hooks that the server had, so that a reload lets none of them begin anew.
type hookCounts struct {
	deliveries hook.Counts
	// publish and view are of questions about publishers and viewers.
	publish, view hook.Tally
}

// newHooks makes what the options name.
func newHooks(o *HookOptions, counts *hookCounts, log *slog.Logger) (h hooks, err error) {
	var format hook.Format
	var questions hook.Questions
	if o.SRS {
		format, questions = hook.SRS{}, hook.SRS{}
	}
	if len(o.URLs) > 0 {
		h.dispatcher, err = hook.New(hook.Options{
			Log: log, URLs: o.URLs, Secrets: o.Secrets, Events: o.Events, Timeout: o.Timeout, Format: format,
			Counts: &counts.deliveries,
		})
		if err != nil {
			return hooks{}, err
		}
	}
	if o.PublishURL != "" {
		if h.publish, err = hook.NewAsker(o.PublishURL, o.Secrets, o.Timeout, questions, nil); err != nil {
			return hooks{}, fmt.Errorf("publish_auth_url: %w", err)
		}
		h.publish.CountIn(&counts.publish)
	}
	if o.ViewURL != "" {
		asker, err := hook.NewAsker(o.ViewURL, o.Secrets, o.Timeout, questions, nil)
		if err != nil {
			return hooks{}, fmt.Errorf("viewer_auth_url: %w", err)
		}
		asker.CountIn(&counts.view)
		h.view = hook.NewCache(asker)
	}
	return h, nil
}

// askView asks whether somebody may watch a stream: once for each token, or without one each
// address.
func (s *Server) askView(ctx context.Context, from caller, name live.Name, token string) (pass, error) {
	now := s.now()
	if now.hooks.view == nil {
		return pass{}, &denied{reason: "nobody may watch"}
	}
	who := from.addr.String()
	var id string
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		who = string(sum[:])
		id = hex.EncodeToString(sum[:4])
	}
	if len(token) > ticket.MaxToken {
		return pass{}, &denied{ticket.ErrMalformed.Error(), ticket.ErrMalformed}
	}
	decision, err := now.hooks.view.Ask(ctx, name.Key()+"\x00"+who, hook.Question{
		ID: "view-" + newID(), Type: "view", Time: time.Now().UTC(), Node: s.nodeID(), Stream: name.Key(), Rendition: name.Rendition, Token: token, Query: withoutToken(from.query),
		Session: &event.Session{Protocol: from.protocol, Remote: netip.AddrPortFrom(from.addr, 0).String()},
	})
	switch {
	case err != nil && now.opt.Hooks.AllowOnFailure && errors.Is(err, hook.ErrUnanswered):
		return pass{id: id}, nil
	case err != nil:
		s.log.Warn("viewer_auth_url does not answer", "stream", said(name.String()), "err", err)
		return pass{}, &denied{"it cannot be decided now, try again", err}
	case !decision.Allow:
		return pass{}, &denied{reason: cmp.Or(decision.Reason, "you may not watch this stream")}
	}
	return pass{id: id}, nil
}

// teller tells hooks what happens. A reload changes whom; what happened before it is still told as
// before.
type teller struct {
	events *event.Cursor // of the present dispatcher
	begun  bool
	ctx    context.Context
	stop   context.CancelFunc
	all    sync.WaitGroup
}

func newTeller(events *event.Bus) *teller {
	t := &teller{events: events.Follow()}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// tell has a dispatcher, which may be nil, told what happens from now on. It has one user at a
// time.
func (t *teller) tell(d *hook.Dispatcher) {
	if t.begun {
		t.events = t.events.Split()
	}
	t.begun = true
	if events := t.events; d != nil {
		t.all.Go(func() { _ = d.Run(t.ctx, events) })
	}
}

// closeHooks lets the last events out, until the deadline.
func (s *Server) closeHooks(deadline time.Time) {
	s.events.Close()
	late := time.AfterFunc(time.Until(deadline), s.teller.stop)
	defer late.Stop()
	s.teller.all.Wait()
	s.teller.stop()
}

// askPublish asks whether a publisher may publish, and changes its limits as the answer says. The
// error, if not, is errRefused with the reason.
func (s *Server) askPublish(ctx context.Context, name live.Name, ss *session, query, client string, limits *PublishLimits) error {
	now := s.now()
	if now.hooks.publish == nil {
		return nil
	}
	decision, err := now.hooks.publish.Ask(ctx, hook.Question{
		ID: "publish-" + ss.ID, Type: "publish", Time: time.Now().UTC(), Node: s.nodeID(), Stream: name.Key(), Rendition: name.Rendition,
		Session: ss.who(), Query: query, Client: client,
	})
	asked := *limits
	if err == nil && decision.Allow {
		err = asked.setAll(decision.Limits)
	}
	switch {
	case err != nil && now.opt.Hooks.AllowOnFailure:
		s.log.Warn("publisher allowed without an answer of publish_auth_url", "stream", name.String(), "err", err)
		return nil
	case err != nil:
		s.log.Error("publish_auth_url does not answer", "stream", name.String(), "err", err)
		return errUndecided
	case !decision.Allow && decision.Reason != "":
		return fmt.Errorf("%w: %s", errRefused, decision.Reason)
	case !decision.Allow:
		return errRefused
	}
	*limits = asked
	return nil
}
