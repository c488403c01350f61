package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"livego/internal/event"
	"livego/internal/hook"
	"livego/internal/live"
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
	// PublishURL is asked about each publisher. AllowOnFailure lets it publish if there is no answer.
	PublishURL     string
	AllowOnFailure bool
}

// hooks are who is told and asked.
type hooks struct {
	dispatcher *hook.Dispatcher // nil: nobody is told
	events     *event.Cursor
	publish    *hook.Asker // nil: nobody is asked
	stop       context.CancelFunc
	done       chan struct{}
}

// openHooks makes what the options name.
func (s *Server) openHooks() (err error) {
	o := &s.opt.Hooks
	var format hook.Format
	var questions hook.Questions
	if o.SRS {
		format, questions = hook.SRS{}, hook.SRS{}
	}
	if len(o.URLs) > 0 {
		s.hooks.dispatcher, err = hook.New(hook.Options{
			Log: s.log, URLs: o.URLs, Secrets: o.Secrets, Events: o.Events, Timeout: o.Timeout, Format: format,
		})
		if err != nil {
			return err
		}
		s.hooks.events = s.events.Follow()
	}
	if o.PublishURL != "" {
		if s.hooks.publish, err = hook.NewAsker(o.PublishURL, o.Secrets, o.Timeout, questions, nil); err != nil {
			return fmt.Errorf("publish_auth_url: %w", err)
		}
	}
	return nil
}

// runHooks tells what happens until closeHooks.
func (s *Server) runHooks() {
	if s.hooks.dispatcher == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.hooks.stop, s.hooks.done = cancel, make(chan struct{})
	go func() {
		defer close(s.hooks.done)
		_ = s.hooks.dispatcher.Run(ctx, s.hooks.events)
	}()
}

// closeHooks lets the last events out, until the deadline.
func (s *Server) closeHooks(deadline time.Time) {
	s.events.Close()
	if s.hooks.done == nil {
		return
	}
	late := time.AfterFunc(time.Until(deadline), s.hooks.stop)
	<-s.hooks.done
	late.Stop()
	s.hooks.stop()
}

// askPublish asks whether a publisher may publish. The error, if not, is errRefused with the reason.
func (s *Server) askPublish(ctx context.Context, name live.Name, ss *session, query, client string) error {
	if s.hooks.publish == nil {
		return nil
	}
	decision, err := s.hooks.publish.Ask(ctx, hook.Question{
		ID: "publish-" + ss.ID, Type: "publish", Time: time.Now().UTC(), Stream: name.Key(), Rendition: name.Rendition,
		Session: ss.who(), Query: query, Client: client,
	})
	switch {
	case err != nil && s.opt.Hooks.AllowOnFailure:
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
	return nil
}
