package server

import (
	"context"
	"crypto/rand"
	"net"
	"strings"
	"sync"

	"livego/internal/command"
	"livego/internal/event"
	"livego/internal/live"
)

// commandEnded is the data of the event that a command beside a stream ended.
type commandEnded struct {
	Command string `json:"command"`
	Reason  string `json:"reason"`
}

// outputCommands runs the commands of an app beside each stream, while its main publication lives.
// Those of renditions, which the commands may publish, have none.
func (s *Server) outputCommands(pub *live.Publication) func(context.Context) error {
	name := pub.Name()
	app, _ := s.app(name.App)
	if len(app.RunOnStream) == 0 || name.Rendition != "" {
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		of := newCommanded(name)
		var all sync.WaitGroup
		for _, args := range app.RunOnStream {
			all.Go(func() { s.runCommand(ctx, of, args) })
		}
		select {
		case <-pub.Done():
		case <-ctx.Done():
		}
		s.endPoster(of) // the stream's next life may have one before the last command has ended
		cancel()
		all.Wait()
		return nil
	}
}

// commanded is the life of a stream that has commands.
type commanded struct {
	name live.Name
	over chan struct{} // closed at its end
}

func newCommanded(name live.Name) *commanded {
	return &commanded{name, make(chan struct{})}
}

// isOver says whether the life is over. Its commands may run a moment longer.
func (c *commanded) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// runCommand keeps one command running until ctx ends.
func (s *Server) runCommand(ctx context.Context, of *commanded, args []string) {
	name := of.name
	command.Run(ctx, command.Options{
		Log: s.log.With("stream", name.String()),
		Args: func() ([]string, func()) {
			key := s.now().access.lent.lend(of)
			return s.filled(args, name, key), func() { s.now().access.lent.takeBack(key) }
		},
		Clean: func(line string) string { return cut(masked(line), maxValue) },
		Ended: func(program, reason string) {
			s.events.Emit(event.Event{Type: event.CommandEnded, Stream: name.Key(), Data: commandEnded{program, reason}})
		},
	})
}

// filled returns the arguments of a command with what they leave open.
func (s *Server) filled(args []string, name live.Name, key string) []string {
	rtmp, flv := s.innerURL("rtmp", "rtmp", s.opt.RTMPTLS), s.innerURL("http-flv", "http", s.opt.FLVTLS)
	fill := strings.NewReplacer(
		"{app}", name.App, "{stream}", name.Stream,
		"{rtmp_url}", rtmp+"/"+name.Key()+"?"+tokenName+"="+key,
		"{flv_url}", flv+"/"+name.Key()+".flv?"+tokenName+"="+key,
		"{poster_url}", s.innerHLS()+"/"+name.Key()+"/"+posterJPEG+"?"+tokenName+"="+key,
		"{publish_url}", rtmp+"/"+name.App+"/"+key,
	)
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = fill.Replace(arg)
		if strings.HasPrefix(out[i], "-") && !strings.HasPrefix(arg, "-") {
			out[i] = "./" + out[i] // a name is no option
		}
	}
	return out
}

// innerHLS is where they reach HLS.
func (s *Server) innerHLS() string {
	if inner := s.innerURL("hls", "http", s.opt.HLSTLS); inner != "" {
		return inner
	}
	return s.innerURL("https", "http", true)
}

// innerURL is where programs on this machine reach a listener.
func (s *Server) innerURL(protocol, scheme string, tls bool) string {
	for _, l := range s.listeners {
		if l.Name != protocol {
			continue
		}
		host, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			break
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return secured(scheme, tls) + "://" + net.JoinHostPort(host, port)
	}
	return ""
}

// lent are keys for commands of the server's own: each lets publish renditions of one stream, and
// watch it.
type lent struct {
	mu    sync.Mutex
	lives map[string]*commanded
}

// lend makes a key for the commands of a stream.
func (l *lent) lend(to *commanded) (key string) {
	key = rand.Text() + rand.Text() // in the form of a channel key, which no log shows
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives[key] = to
	return key
}

// takeBack makes a key worthless.
func (l *lent) takeBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lives, key)
}

// of returns the stream that a key was made for.
func (l *lent) of(key string) (live.Name, bool) {
	c := l.life(key)
	if c == nil {
		return live.Name{}, false
	}
	return c.name, true
}

// life returns the life that a key was made for, nil if it is worth nothing.
func (l *lent) life(key string) *commanded {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lives[key]
}
