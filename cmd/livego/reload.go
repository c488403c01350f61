package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	v1 "livego/internal/api/v1"
	"livego/internal/config"
	"livego/internal/server"
)

// settleTime is how long a file has to stay as it is before it is read: editors write in several
// steps.
const settleTime = 300 * time.Millisecond

// reloader takes over a new configuration while the server runs: on SIGHUP, when asked by the API,
// and when the file changes.
type reloader struct {
	load func() (config.Config, []string, error)
	// options turns a configuration into those of the server.
	options func(config.Config) server.Options
	level   *slog.LevelVar
	log     *slog.Logger

	current atomic.Pointer[config.Config]

	mu     sync.Mutex
	server *server.Server // nil: it does not run yet
}

func newReloader(cfg config.Config, level *slog.LevelVar, log *slog.Logger) *reloader {
	r := &reloader{level: level, log: log}
	r.current.Store(&cfg)
	return r
}

// shown is the configuration in force, for the API.
func (r *reloader) shown() v1.Config { return r.current.Load().Shown() }

// serves says which server it is.
func (r *reloader) serves(s *server.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = s
}

// reload reads the configuration again. If anything is wrong with it, the one before stays whole.
// why is for the log.
func (r *reloader) reload(why string) (taken, left []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, left, err = r.take()
	switch {
	case err != nil:
		r.log.Error("the configuration is wrong, the one before stays in force", "asked by", why, "err", err)
	case len(taken)+len(left) == 0:
		r.log.Info("the configuration was read again, nothing has changed", "asked by", why)
	default:
		r.log.Info("the configuration was read again", "asked by", why, "changed", strings.Join(taken, ","))
	}
	if len(left) > 0 {
		r.log.Warn("these options take effect only with a new start", "options", strings.Join(left, ","))
	}
	return taken, left, err
}

// take does the work. The caller holds mu.
func (r *reloader) take() (taken, left []string, err error) {
	if r.server == nil {
		return nil, nil, errors.New("the server has not started yet")
	}
	next, warnings, err := r.load()
	if err != nil {
		return nil, nil, err
	}
	if err := next.CheckFiles(); err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		r.log.Warn("configuration", "warning", w)
	}
	merged, taken, left := r.current.Load().Reloaded(next)
	if err := r.server.Reload(r.options(merged)); err != nil {
		return nil, nil, err
	}
	r.level.Set(merged.Level)
	r.current.Store(&merged)
	return taken, left, nil
}

// byAPI is reload for the API.
func (r *reloader) byAPI(context.Context) (taken, left []string, err error) { return r.reload("API") }

// watch reloads when the configuration file changes, until ctx ends. Its folder is watched, for
// editors and deployments put another file in its place.
func (r *reloader) watch(ctx context.Context) {
	name := r.current.Load().File
	if name == "" {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(filepath.Dir(name))
	}
	if err != nil {
		r.log.Warn("the configuration file is not watched: after a change send SIGHUP or run livego reload", "err", err)
		return
	}
	seen := content(name)
	if r.outdated() {
		_, _, _ = r.reload("change of the file") // while the server started
	}
	settled := time.NewTimer(0)
	<-settled.C
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-w.Events:
			if !ok {
				return
			}
			settled.Reset(settleTime)
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			r.log.Debug("watching the configuration file", "err", err)
			settled.Reset(settleTime) // it may have changed meanwhile
		case <-settled.C:
			if now := content(name); now != "" && now != seen {
				seen = now
				_, _, _ = r.reload("change of the file") // the log has it
			}
		}
	}
}

// outdated says whether the configuration in force is not the one that there is.
func (r *reloader) outdated() bool {
	next, _, err := r.load()
	if err != nil {
		return true
	}
	_, taken, left := r.current.Load().Reloaded(next)
	return len(taken)+len(left) > 0
}

// maxConfig bounds what is compared of a configuration file, in bytes.
const maxConfig = 1 << 20

// content is what stands in a file, empty if it cannot be read.
func content(name string) string {
	info, err := os.Stat(name)
	if err != nil || info.Size() > maxConfig {
		return ""
	}
	text, _ := os.ReadFile(name)
	return string(text)
}
