package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"livego/internal/cluster"
	"livego/internal/fanout"
	"livego/internal/live"
)

// serveFeed gives another node a stream that has its home here, or comes here from another region.
func (n *node) serveFeed(ctx context.Context, r cluster.Request) (cluster.Outlet, error) {
	name := nameOf(r.Stream)
	name.Rendition = r.Rendition
	leaves := n.next.has(r.Stream)
	if r.When != cluster.Here && !leaves {
		n.awaitStream(ctx, name)
	}
	token, holds := n.member.Holds(r.Stream)
	if !holds {
		return n.passFeed(ctx, name, r)
	}
	pub, ok := n.present(ctx, name)
	if !ok || leaves && !pub.OnAir() {
		return cluster.Outlet{}, cluster.ErrElsewhere
	}
	held := func() bool {
		select {
		case <-pub.Done():
			return true // what is left of it goes out
		default:
		}
		_, holds := n.member.Holds(r.Stream)
		return holds
	}
	return cluster.Outlet{Token: token, Rendition: pub.Name().Rendition, Play: func(nc net.Conn, first []byte) { n.playFeed(nc, first, pub, r, held) }}, nil
}

// awaitStream waits for a moment for a stream that is about to have its home here: who asks gets
// all of it.
func (n *node) awaitStream(ctx context.Context, name live.Name) {
	n.await(streamTick, time.Now().Add(passTimeout), func() bool {
		pub, ok := n.hub.Lookup(name)
		_, holds := n.member.Holds(name.Key())
		return holds && ok && pub.HasBegun() || ctx.Err() != nil
	})
}

// passFeed gives another node a stream that comes here from another region.
func (n *node) passFeed(ctx context.Context, name live.Name, r cluster.Request) (cluster.Outlet, error) {
	if !n.passes(ctx, r.Stream) {
		return cluster.Outlet{}, cluster.ErrElsewhere
	}
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	pub, err := n.find(ctx, name, r.Via)
	c := n.copyOf(name)
	if err != nil || c == nil || c.path.Load() == nil {
		return cluster.Outlet{}, cluster.ErrElsewhere
	}
	path := *c.path.Load()
	if slices.Contains(path, r.From) {
		return cluster.Outlet{}, cluster.ErrLoop
	}
	return cluster.Outlet{
		Token: c.token.Load(), Rendition: pub.Name().Rendition, Path: path,
		Play: func(nc net.Conn, first []byte) { n.playFeed(nc, first, pub, r, func() bool { return true }) },
	}, nil
}

// playFeed sends a stream to another node, while it is held here.
func (n *node) playFeed(nc net.Conn, first []byte, pub *live.Publication, r cluster.Request, held func() bool) {
	player, err := n.fanout.Play(pub, fanout.PlayerOptions{
		Conn: nc, Format: cluster.Format{}, View: fanout.View{Whole: true}, UntilMoved: true, FromBegin: r.When == cluster.Next,
	})
	if err != nil {
		return // the other node asks again
	}
	defer n.pulls.feed(pub.Name())()
	log := n.log.With("stream", pub.Name().String(), "node", r.From, "remote", r.Remote)
	log.Info("stream goes to another node")
	player.Start(first)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, err := io.CopyN(io.Discard, nc, maxViewerBytes)
		player.Close(fmt.Errorf("%w: %w", fanout.ErrGone, orEOF(err)))
	}()
	stop := context.AfterFunc(n.ctx, func() { player.Close(errShutdown) })
	var sent uint64
	count := func() {
		before := sent
		sent = player.Stats().Sent
		n.meter.toNodes.Add(sent - before)
	}
	n.attend(player, r.Stream, func() bool { count(); return held() })
	count()
	stop()
	err = player.Err()
	var last []byte
	switch ended := errors.Is(err, fanout.ErrStreamEnded); {
	case errors.Is(err, live.ErrMoved), ended && errors.Is(pub.Cause(), live.ErrMoved):
		last = cluster.AppendMoved(nil, n.nextHome(r.Stream))
	case ended && !errors.Is(pub.Cause(), live.ErrClosed):
		last = cluster.AppendEnd(nil)
	}
	if last != nil {
		_ = nc.SetWriteDeadline(time.Now().Add(n.Server.opt.Fanout.WriteTimeout))
		_, _ = nc.Write(last)
	}
	_ = nc.Close()
	<-gone
	log.Info("stream goes to another node no more", "reason", err.Error(), "bytes", player.Stats().Sent)
}

// attend says each second that this node is there, until the player ends, or the stream has its
// home elsewhere: then what there is goes out.
func (n *node) attend(player *fanout.Player, stream string, held func() bool) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	changed := n.member.Changed(stream)
	for held() {
		select {
		case <-tick.C:
			_ = player.Post(cluster.AppendPing(nil))
		case <-changed:
			changed = n.member.Changed(stream)
		case <-player.Done():
			return
		}
	}
	select {
	case <-time.After(feedFlush):
		player.Stop(live.ErrMoved)
	case <-player.Done():
	}
	<-player.Done()
}
