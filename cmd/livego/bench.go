package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"livego/internal/bench"
	"livego/internal/config"
)

// benchFlags are the flags that bench.Options has no field for.
type benchFlags struct {
	protocol        string
	video, audio    int // kbit/s
	json, noPublish bool
	key             string
}

func newBenchCommand(p program) *cobra.Command {
	var o bench.Options
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "put load on a server and measure it",
		Long: "Publishes streams in real time, plays them with many players, and reports what arrived, how late, and what it cost the server.\n" +
			"Without --publish and --play it takes the livego that runs on this machine with this configuration. In the URLs {stream} stands\n" +
			"for the name of the stream and {key} for its channel key.\n\n" +
			"  livego bench --players 1000 --protocol http-flv --pid $(pidof livego)\n" +
			"  livego bench --publish rtmp://127.0.0.1/live/{stream} --play rtmp://127.0.0.1/live/{stream}",
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Publish, "publish", "", "URL to publish to: rtmp, rtmps, or http for FLV by POST")
	flags.StringSliceVar(&o.Play, "play", nil, "URLs to play: rtmp, rtmps, http(s) with .flv or .m3u8 (also Low-Latency HLS), ws(s)")
	flags.StringVar(&f.protocol, "protocol", "rtmp", "how to play without --play: "+strings.Join(benchProtocols, ", "))
	flags.BoolVar(&f.noPublish, "no-publish", false, "play streams that somebody else publishes")
	flags.StringVar(&f.key, "key", "", "channel key for --publish; the default is to ask the server on this machine")
	flags.StringVar(&o.Stream, "stream", "bench", "name of the stream; several get a number behind it")
	flags.IntVar(&o.Streams, "streams", 1, "number of streams")
	flags.IntVar(&o.Players, "players", 100, "number of players of all streams together")
	flags.IntVar(&o.Sample, "sample", 20, "number of players that check what they get and measure the latency")
	flags.Float64Var(&o.JoinRate, "join-rate", 500, "players that connect in a second")
	flags.IntVar(&o.Storm, "storm", 0, "further players that join in the first second of the measurement")
	flags.StringVar(&o.File, "file", "", "file to publish in a loop instead of the built-in clip: FLV, or what ffmpeg makes FLV of without encoding")
	flags.IntVar(&f.video, "video-rate", 2504, "video of the built-in clip in kbit/s, 0 for none")
	flags.IntVar(&f.audio, "audio-rate", 96, "audio of the built-in clip in kbit/s, 0 for none")
	flags.DurationVar(&o.Warmup, "warmup", 3*time.Second, "time between the last joining and the measurement")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "time of the measurement")
	flags.IntSliceVar(&o.PIDs, "pid", nil, "processes of the server, to measure their CPU time and memory (Linux)")
	flags.BoolVar(&o.AllowRemote, "allow-remote", false, "allow servers on other machines")
	flags.BoolVar(&o.Insecure, "insecure", false, "accept any certificate")
	flags.BoolVar(&o.HTTP2, "http2", false, "play HLS over HTTP/2 (https)")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.bench(cmd, o, f) }
	return cmd
}

func (p program) bench(cmd *cobra.Command, o bench.Options, f benchFlags) error {
	cfg, _, err := p.load(cmd)
	if err != nil {
		return err
	}
	if err := completeBench(&o, f, cfg); err != nil {
		return usageError{err}
	}
	if terminal, ok := p.stderr.(*os.File); ok && isTerminal(terminal) {
		o.Progress = func(progress bench.Progress) { fmt.Fprintf(p.stderr, "\r\x1b[K%v", progress) }
		defer fmt.Fprint(p.stderr, "\r\x1b[K")
	} else {
		o.Progress = func(progress bench.Progress) { fmt.Fprintln(p.stderr, progress) }
	}
	report, err := bench.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	if f.json {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	_, err = fmt.Fprint(p.stdout, report)
	return err
}

// isTerminal says whether lines can be overwritten there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// benchProtocols are the ways to play a livego.
var benchProtocols = []string{"rtmp", "rtmps", "http-flv", "ws-flv", "hls", "ll-hls"}

// completeBench puts in the URLs and keys of the server of this configuration, where none are
// given.
func completeBench(o *bench.Options, f benchFlags, cfg config.Config) error {
	o.VideoRate, o.AudioRate = f.video*1000, f.audio*1000
	app, ok := firstApp(cfg, func(a config.App) bool { return a.Live })
	if !ok && (o.Publish == "" || len(o.Play) == 0) {
		return errors.New("no app of the configuration has live on")
	}
	if f.noPublish {
		o.Publish = ""
	} else if o.Publish == "" {
		o.Publish = link(secured("rtmp", cfg.RTMPTLS), cfg.RTMPAddr, app+"/{key}")
		if cfg.NoAuth {
			o.Publish = strings.ReplaceAll(o.Publish, "{key}", "{stream}")
		}
	}
	if len(o.Play) == 0 {
		play, err := playLink(f.protocol, cfg, app)
		if err != nil {
			return err
		}
		o.Play = []string{play}
	}
	if strings.Contains(o.Publish, "{key}") {
		o.Keys = benchKeys(f.key, cfg)
	}
	return nil
}

func playLink(protocol string, cfg config.Config, app string) (string, error) {
	stream := app + "/{stream}"
	switch protocol {
	case "rtmp":
		return link(secured("rtmp", cfg.RTMPTLS), cfg.RTMPAddr, stream), nil
	case "rtmps":
		if cfg.RTMPSAddr == "" {
			return "", errors.New("the configuration has no rtmps_addr")
		}
		return link("rtmps", cfg.RTMPSAddr, stream), nil
	case "http-flv":
		return link(secured("http", cfg.FLVTLS), cfg.FLVAddr, stream+".flv"), nil
	case "ws-flv":
		return link(secured("ws", cfg.FLVTLS), cfg.FLVAddr, stream+".flv"), nil
	case "hls":
		return link(secured("http", cfg.HLSTLS), cfg.HLSAddr, stream+".m3u8"), nil
	case "ll-hls":
		return link(secured("http", cfg.HLSTLS), cfg.HLSAddr, stream+"/index.m3u8"), nil
	}
	return "", fmt.Errorf("protocol %q is none of %s", protocol, strings.Join(benchProtocols, ", "))
}

// benchKeys returns the key that was given, or asks the running server.
func benchKeys(key string, cfg config.Config) func(ctx context.Context, stream string) (string, error) {
	return func(ctx context.Context, stream string) (string, error) {
		if key != "" {
			return key, nil
		}
		server, err := findServer(ctx, cfg)
		if err != nil {
			return "", err
		}
		return remoteKeys{server}.Get(ctx, stream)
	}
}
