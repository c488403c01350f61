package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"

	"livego/internal/config"
	"livego/internal/keys"
	"livego/internal/server"
)

// serve runs the server until it fails or a signal ends it.
func (p program) serve(cmd *cobra.Command, _ []string) (err error) {
	cfg, warnings, err := p.load(cmd)
	if err != nil {
		return err
	}
	if err := cfg.CheckFiles(); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(cfg.Level)
	log, closeLog := openLog(p.stderr, cfg.LogFormat, level)
	defer closeLog()
	again := newReloader(cfg, level, log)
	again.load = func() (config.Config, []string, error) { return p.load(cmd) }
	defer onHangup(func() { _, _, _ = again.reload("SIGHUP") })()
	log.Info("livego starts", "version", serverVersion(), "config", cfg.File)
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	log.Debug("configuration", "options", cfg)

	if cfg.Store.RedisAddr == "" || cfg.Rewind.Window > 0 || cfg.Cluster.Addr != "" && cfg.Cluster.ID == "" {
		if err := makeDataDir(cfg.DataDir, log); err != nil {
			return err
		}
	}
	store, err := openKeys(cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	again.options = func(cfg config.Config) server.Options {
		o := cfg.ServerOptions()
		o.Log, o.Version, o.Keys, o.ShowConfig, o.ReloadConfig = log, serverVersion(), store, again.shown, again.byAPI
		return o
	}
	options := again.options(cfg)
	leave, err := openCluster(cfg, &options.Cluster)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	quietMonitor()
	collectEarly()
	defer returnMemory()()
	s, err := server.New(options)
	if err != nil {
		return err
	}
	again.serves(s)
	logLinks(log, cfg, s.Addrs())
	logOpenAPI(log, cfg)
	defer p.watchConfig(cmd.Context(), again)()
	return s.Run(cmd.Context())
}

// watchConfig reloads when the file changes, until what it returns is called.
func (p program) watchConfig(ctx context.Context, again *reloader) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { again.watch(ctx) })
	return func() {
		cancel()
		watching.Wait()
	}
}

// gcPercent is how much the heap may grow between two collections, in percent. Most of it is media,
// which a collection does not look into, and delivery allocates next to nothing: collecting four
// times as often as usual costs little, and saves a third of the memory.
const gcPercent = 25

// collectEarly sets gcPercent, unless the environment says something else.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// openKeys opens the store of channel keys that the configuration names. An error says which option
// to look at.
func openKeys(cfg config.Config, log *slog.Logger) (keys.Store, error) {
	o := cfg.Store
	o.Log = log
	if cfg.Store.RedisAddr != "" {
		store, err := keys.OpenRedis(o)
		if err != nil {
			return nil, fmt.Errorf("redis_addr: %w", err)
		}
		return store, nil
	}
	store, err := keys.OpenFile(cfg.KeysFile(), o)
	if err != nil {
		return nil, fmt.Errorf("data_dir %q: %w", cfg.DataDir, err)
	}
	return store, nil
}

// openLog returns a log that never waits for whoever reads it, and what ends it.
func openLog(out io.Writer, format string, level slog.Leveler) (*slog.Logger, func()) {
	w := newLogWriter(out, func(dropped int) []byte {
		var line bytes.Buffer
		newLogger(&line, format, level).Error("lines of the log were dropped, as nobody read it", "lines", dropped)
		return line.Bytes()
	})
	return newLogger(w, format, level), w.Close
}

// newLogger writes one line for each record.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
			a.Value = slog.StringValue(a.Value.Time().Format("2006-01-02T15:04:05.000"))
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, o))
}
