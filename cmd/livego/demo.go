package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"livego/internal/config"
	"livego/internal/demo"
	"livego/internal/keys"
	"livego/internal/server"
)

// demoStream is the public name of the demo's stream.
const demoStream = "demo"

func newDemoCommand(p program) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "run the server with a looping test stream",
		Long: "Runs the server and publishes a short clip to it in a loop, and says where to watch. Keys are kept in memory, and ports\n" +
			"that are taken are replaced by free ones.",
		Args: noArguments,
		RunE: p.demo,
	}
}

// demo runs the server and the built-in publisher until one of them fails or a signal ends both.
func (p program) demo(cmd *cobra.Command, _ []string) error {
	cfg, _, err := p.load(cmd)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("level") {
		cfg.Level = slog.LevelWarn // the links are what matters here
	}
	app, ok := firstApp(cfg, func(a config.App) bool { return a.Live && a.FLV && a.HLS })
	if !ok {
		return errors.New("the demo needs an app that has live, flv and hls on")
	}
	for _, addr := range []*string{&cfg.RTMPAddr, &cfg.FLVAddr, &cfg.HLSAddr, &cfg.APIAddr} {
		if err := p.replaceTaken(addr); err != nil {
			return err
		}
	}
	cfg.HTTPSAddr, cfg.HTTPRedirectAddr, cfg.ACME.Domains = "", "", nil
	cfg.RTMPTLS, cfg.RTMPSAddr, cfg.FLVTLS, cfg.HLSTLS = false, "", false, false

	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	log, closeLog := openLog(p.stderr, cfg.LogFormat, cfg.Level)
	defer closeLog()
	store := keys.NewMemory(keys.Options{Log: log})
	defer store.Close()
	key, err := store.Get(ctx, demoStream)
	if err != nil {
		return err
	}
	options := cfg.ServerOptions()
	options.Log, options.Version, options.Keys, options.ShowConfig = log, serverVersion(), store, cfg.Shown
	s, err := server.New(options)
	if err != nil {
		return err
	}
	for protocol, addr := range map[string]*string{"rtmp": &cfg.RTMPAddr, "http-flv": &cfg.FLVAddr, "hls": &cfg.HLSAddr} {
		*addr = withPort(*addr, s.Addrs()[protocol])
	}
	published := make(chan error, 1)
	go func() {
		err := demo.Run(ctx, demo.Options{
			URL:   link("rtmp", cfg.RTMPAddr, app+"/"+key),
			OnAir: func() { p.printDemo(cfg, app+"/"+demoStream) },
			Log:   log,
		})
		stop(err)
		published <- err
	}()
	err = s.Run(ctx)
	stop(err)
	if refusal := <-published; err == nil && cmd.Context().Err() == nil {
		return refusal
	}
	return err
}

// replaceTaken lets the system choose a port where the address cannot be listened on, and says so.
func (p program) replaceTaken(addr *string) error {
	listener, err := net.Listen("tcp", *addr)
	if err == nil {
		return listener.Close()
	}
	host, _, splitErr := net.SplitHostPort(*addr)
	if splitErr != nil {
		return splitErr
	}
	fmt.Fprintf(p.stdout, "%v: the demo uses a free port instead\n", err)
	*addr = net.JoinHostPort(host, "0")
	return nil
}

// demoToken is how long the demo may be watched.
const demoToken = 24 * time.Hour

// printDemo says where to watch, with a token if viewers need one.
func (p program) printDemo(cfg config.Config, stream string) {
	prefix, query := "", ""
	if token, err := makeToken(cfg, tokenWish{paths: []string{stream}, begin: demoToken}, time.Now()); err == nil {
		prefix, query = "~"+token+"/", "?token="+token
	}
	flv := link("http", cfg.FLVAddr, stream+".flv"+query)
	fmt.Fprintf(p.stdout, `
The demo is on air.

  watch      %s
  ffplay     ffplay -fflags nobuffer %s
  VLC        vlc %s
  HTTP-FLV   %s
  WebSocket  %s
  HLS        %s

Ctrl-C ends it.
`, link("http", cfg.HLSAddr, prefix+stream+"/"), link("rtmp", cfg.RTMPAddr, stream+query), flv, flv,
		link("ws", cfg.FLVAddr, stream+".flv"+query), link("http", cfg.HLSAddr, prefix+stream+".m3u8"))
}
