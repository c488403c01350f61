//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"livego/internal/bench"
	"livego/internal/rtmp"
)

// The stopped scenario has players that agree to play and then read nothing, and looks at what the
// server keeps for them: what waits in its sockets, by /proc/net/tcp, and by how much its memory
// grows.

const (
	stoppedPlayers = 50
	// stoppedBuffer is what a player's own socket holds, in bytes: little, so that the rest is the
	// server's.
	stoppedBuffer = 4 << 10
	// stoppedFor is longer than servers keep such players.
	stoppedFor = 16 * time.Second
	// stoppedSettle is how long the server's memory has to grow for other reasons.
	stoppedSettle = 15 * time.Second
	stoppedLook   = 250 * time.Millisecond
)

// stoppedRow is a server and a way to play.
type stoppedRow struct {
	name string
	kind kind
	addr string
	play func(ctx context.Context, addr string) (io.Closer, error)

	queues, growths, lives []float64 // by round: bytes of the fullest socket, bytes of memory per player, seconds until the last one was closed
}

func (m *measurement) stopped(ctx context.Context) error {
	rows := []*stoppedRow{
		{name: "nginx-rtmp", kind: nginx{}, addr: m.rtmpAddr, play: stopRTMP},
		{name: "livego RTMP", kind: livego{}, addr: m.rtmpAddr, play: stopRTMP},
		{name: "livego HTTP-FLV", kind: livego{}, addr: m.flvAddr, play: stopFLV},
	}
	kept := rows[:0]
	for _, r := range rows {
		switch err := r.kind.prepare(ctx, m); {
		case errors.Is(err, errNotInstalled):
			fmt.Fprintf(os.Stderr, "%s: left out, %v\n", r.name, err)
		case err != nil:
			return err
		default:
			kept = append(kept, r)
		}
	}
	for round := range m.rounds {
		for _, r := range kept {
			if err := m.stop(ctx, r); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d/%d  %-18s fullest socket %.0f kB, memory %.0f kB a player, closed after %.1f s\n",
				round+1, m.rounds, r.name, r.queues[round]/1e3, r.growths[round]/1e3, r.lives[round])
		}
	}
	return m.publish(func(w io.Writer) { m.printStopped(w, kept) })
}

// stop measures one server once.
func (m *measurement) stop(ctx context.Context, r *stoppedRow) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target, err := r.kind.command(m, nil)
	if err != nil {
		return err
	}
	server, err := m.start(ctx, target)
	if err != nil {
		return err
	}
	defer server.stop()
	// One player that reads, so that what the stream itself takes is there before.
	args := append([]string{"-c", m.loadCPU, m.livego, "bench", "--players", "1", "--duration", "24h"}, target.load...)
	publisher := exec.CommandContext(ctx, "taskset", args...)
	publisher.Dir = m.dir
	if err := publisher.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = publisher.Wait() }() // ended on purpose
	if err := pause(ctx, stoppedSettle); err != nil {
		return err
	}
	_, before, err := bench.Usage(server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	_, others, err := readQueues(r.addr)
	if err != nil {
		return err
	}
	for range stoppedPlayers {
		player, err := r.play(ctx, r.addr)
		if err != nil {
			return err
		}
		defer player.Close()
	}
	return r.watch(ctx, server.cmd.Process.Pid, before, others+stoppedPlayers)
}

// watch looks at the server for stoppedFor. before is the memory that it had, all how many
// connections it has with all players.
func (r *stoppedRow) watch(ctx context.Context, pid int, before uint64, all int) error {
	var queue, peak uint64
	alive := 0.0
	for start := time.Now(); time.Since(start) < stoppedFor; {
		_, rss, err := bench.Usage(pid)
		if err != nil {
			return err
		}
		fullest, established, err := readQueues(r.addr)
		if err != nil {
			return err
		}
		queue, peak = max(queue, fullest), max(peak, rss)
		if established >= all {
			alive = time.Since(start).Seconds()
		}
		if err := pause(ctx, stoppedLook); err != nil {
			return err
		}
	}
	r.queues = append(r.queues, float64(queue))
	r.growths = append(r.growths, (float64(peak)-float64(before))/stoppedPlayers)
	r.lives = append(r.lives, alive)
	return nil
}

func readQueues(addr string) (fullest uint64, established int, err error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, 0, err
	}
	return sendQueues(string(table), addr)
}

// sendQueues reads /proc/net/tcp (proc_net_tcp of the kernel's documentation): the fullest queue of
// those that send from an address, in bytes, and how many connections it has.
func sendQueues(table, addr string) (fullest uint64, established int, err error) {
	local, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, 0, err
	}
	ip := local.Addr().As4()
	want := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], local.Port())
	const tcpEstablished = "01"
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[1] != want || fields[3] != tcpEstablished {
			continue
		}
		sending, _, _ := strings.Cut(fields[4], ":")
		n, err := strconv.ParseUint(sending, 16, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/net/tcp: %w", err)
		}
		fullest = max(fullest, n)
		established++
	}
	return fullest, established, nil
}

// stopDialer makes connections that hold little themselves.
func stopDialer() *net.Dialer {
	return &net.Dialer{Timeout: startTimeout, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, stoppedBuffer)
		})
		return errors.Join(controlErr, err)
	}}
}

func stopRTMP(ctx context.Context, addr string) (io.Closer, error) {
	client, err := rtmp.Dial(ctx, "rtmp://"+addr+"/live/bench", rtmp.ClientOptions{DialContext: stopDialer().DialContext})
	if err != nil {
		return nil, err
	}
	if err := client.Play(ctx, ""); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

func stopFLV(ctx context.Context, addr string) (io.Closer, error) {
	conn, err := stopDialer().DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/live/bench.flv", nil)
	if err == nil {
		err = request.Write(conn)
	}
	if err == nil {
		_, err = bufio.NewReader(conn).ReadByte()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *measurement) printStopped(w io.Writer, rows []*stoppedRow) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprintf(out, "%s: %d of them, watched for %v. Medians of %d rounds (range).\n\n", m.scenario.title, stoppedPlayers, stoppedFor, m.rounds)
	fmt.Fprintln(out, "| server | fullest socket, kB | memory of the process per player, kB | all were there for, s |")
	fmt.Fprintln(out, "|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", r.name, spreadOf(shares(r.queues, 1e3)).text("%.0f"), spreadOf(shares(r.growths, 1e3)).text("%.0f"),
			spreadOf(r.lives).text("%.1f"))
	}
	fmt.Fprintf(out, "\n%s\n\nRepeat with `%s`.\n", m.machine(), m.repeat())
}
