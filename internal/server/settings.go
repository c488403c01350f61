package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"livego/internal/api"
	"livego/internal/auth"
)

// settings is what a reload replaces, all at once. Who needs any of it asks now each time, and
// never changes it.
type settings struct {
	// opt has the options that may change. Others in it are as they were given last, and not in
	// force: those are in Server.opt.
	opt    Options
	access *access
	hooks  hooks
	// origins are whose pages may play.
	origins origins
	api     http.Handler // of the API port
}

// now returns the settings in force.
func (s *Server) now() *settings { return s.settings.Load() }

// newSettings checks options, and makes what follows from them.
func (s *Server) newSettings(opt Options) (*settings, error) {
	access, err := newAccess(&opt)
	if err != nil {
		return nil, err
	}
	access.ask = s.askView
	n := &settings{opt: opt, access: access, origins: newOrigins(opt.MediaOrigins)}
	s.boundCrowds(n)
	guard := opt.API
	guard.Short = auth.OnlyLocal(s.opt.APIAddr)
	policy, err := auth.NewAPIPolicy(guard)
	if err != nil {
		return nil, err
	}
	n.api = api.New(api.Options{
		Keys: s.opt.Keys, Sessions: s, Relays: s, Policy: policy, Metrics: s.metrics.Handler(), Log: s.log, Resources: s.resources.Guarded(policy), Console: s.console, Ready: s.ready.Load,
	})
	if n.hooks, err = newHooks(&opt.Hooks, &s.hookCounts, s.log); err != nil {
		return nil, err
	}
	return n, nil
}

var errEnding = errors.New("the server ends")

// Reload takes over what can change while the server runs: Apps, NoAuth, Tickets,
// ViewerSharedCache, MaxStreams, MaxViewers, API, PlayWait, DrainTimeout, RTMP, TrustedProxies, the
// limits of connections, StreamList, PublicStatus, FrameOrigins, MediaOrigins, Grace and Takeover
// of Live, WriteTimeout of Fanout, the files of certificates, and Hooks, and Record as long as
// nothing was ever recorded; of the timeouts, the HTTP servers keep theirs. All other options stay
// as they were at the start. Those who are connected stay so. If it fails, nothing has changed.
func (s *Server) Reload(opt Options) error {
	opt.Log, opt.Keys = s.log, s.opt.Keys
	opt = opt.withDefaults()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.ended {
		return errEnding
	}
	n, err := s.newSettings(opt)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	before := s.now()
	n.access.goOn(before.access)
	if !before.access.guarded {
		if err := s.restoreRevoked(n.access); err != nil {
			return fmt.Errorf("reloading: %w", err)
		}
	}
	if err := s.openRecorder(n); err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	if reflect.DeepEqual(&before.opt.Hooks, &opt.Hooks) {
		n.hooks = before.hooks
	} else {
		s.teller.tell(n.hooks.dispatcher)
	}
	s.limits.Set(opt.MaxConnections, opt.MaxConnectionsPerAddr)
	for _, l := range s.listeners {
		l.Certificate.Recheck()
	}
	s.hub.Change(opt.Live.Grace, opt.Live.Takeover)
	s.fanout.SetWriteTimeout(opt.Fanout.WriteTimeout)
	s.useCertificates(&opt)
	s.settings.Store(n)
	s.changeRecordings()
	return nil
}

// useCertificates has listeners take their certificates from the files that options name.
func (s *Server) useCertificates(opt *Options) {
	for _, l := range s.listeners {
		switch l.Certificate.Option {
		case rtmpsFiles:
			l.Certificate.Use(opt.RTMPSCert, opt.RTMPSKey)
		case httpsFiles:
			l.Certificate.Use(opt.HTTPSCert, opt.HTTPSKey)
		}
	}
}

// The options that name certificates, for errors.
const (
	rtmpsFiles = "rtmps_cert/rtmps_key"
	httpsFiles = "https_cert/https_key"
)

// endReloads lets no further reload begin.
func (s *Server) endReloads() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.ended = true
}

// serveAPI serves the API port by the settings in force.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) { s.now().api.ServeHTTP(w, r) }

// reloadConfig has the configuration read again, for the API.
func (s *Server) reloadConfig(ctx context.Context) (taken, left []string, err error) {
	if s.opt.ReloadConfig == nil {
		return nil, nil, errors.New("there is no configuration to read again")
	}
	return s.opt.ReloadConfig(ctx)
}
