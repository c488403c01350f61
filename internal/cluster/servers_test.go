package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"livego/internal/pause"
	"livego/internal/property"
	"livego/internal/redisconn"
)

// programs are Debian's servers that the tests of this package share: one redis-server, three that
// are a Redis Cluster, and one that Sentinel has made the master.
var programs struct {
	single, cluster, sentinel shared

	mu      sync.Mutex
	running []*exec.Cmd
	dirs    []string
	port    int // next one to try
}

// shared is what is started once.
type shared struct {
	once    sync.Once
	address string
	err     error
}

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(tests{m})
}

// tests end the programs before it is looked for what is left.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	for _, command := range programs.running {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	for _, dir := range programs.dirs {
		_ = os.RemoveAll(dir)
	}
	return code
}

func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
}

// get starts it, or returns where it is.
func (s *shared) get(t *testing.T, start func() (string, error)) string {
	t.Helper()
	needRedis(t)
	s.once.Do(func() { s.address, s.err = start() })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.address
}

// freePorts returns ports below those that connections are given, which are free at 10,000 more
// too: there the servers of a Redis Cluster speak with each other. None is given twice: sentinels
// go on looking for a master that died.
func freePorts(n int) (ports []int, err error) {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.port == 0 {
		programs.port = 11_000 + os.Getpid()%5_000
	}
	for ; programs.port < 22_000 && len(ports) < n; programs.port++ {
		if isFree(programs.port) && isFree(programs.port+10_000) {
			ports = append(ports, programs.port)
		}
	}
	if len(ports) < n {
		return nil, errors.New("no free ports")
	}
	return ports, nil
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", at(port))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// startServer starts a redis-server until the tests are over, and waits until it answers.
func startServer(port int, args ...string) (*exec.Cmd, error) {
	dir, err := os.MkdirTemp("", "livego-redis-")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "log")
	command := exec.Command("redis-server", append(args, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--logfile", log)...)
	if err := command.Start(); err != nil {
		return nil, err
	}
	programs.mu.Lock()
	programs.running, programs.dirs = append(programs.running, command), append(programs.dirs, dir)
	programs.mu.Unlock()
	client := redis.NewClient(&redis.Options{Addr: at(port), Protocol: 2, DisableIdentity: true})
	defer client.Close()
	if !until(10*time.Second, func(ctx context.Context) bool { return client.Ping(ctx).Err() == nil }) {
		said, _ := os.ReadFile(log)
		return nil, fmt.Errorf("redis-server does not start: %s", said)
	}
	return command, nil
}

// memoryOnly lets a redis-server keep nothing on disk.
func memoryOnly() []string { return []string{"--save", "", "--appendonly", "no"} }

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// until asks for a condition until it holds or the time is over.
func until(limit time.Duration, holds func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !holds(ctx) {
		if pause.For(ctx, 20*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// redisServer is one server.
func redisServer(t *testing.T) string {
	t.Helper()
	return programs.single.get(t, func() (string, error) {
		ports, err := freePorts(1)
		if err != nil {
			return "", err
		}
		_, err = startServer(ports[0], memoryOnly()...)
		return at(ports[0]), err
	})
}

// redisCluster is three masters that share the slots, as redis-cli makes them.
func redisCluster(t *testing.T) string {
	t.Helper()
	return programs.cluster.get(t, func() (string, error) {
		ports, err := freePorts(3)
		if err != nil {
			return "", err
		}
		create, addrs := []string{"--cluster", "create"}, []string{}
		for _, port := range ports {
			if _, err := startServer(port, append(memoryOnly(), "--cluster-enabled", "yes")...); err != nil {
				return "", err
			}
			addrs = append(addrs, at(port))
		}
		out, err := exec.Command("redis-cli", append(append(create, addrs...), "--cluster-yes")...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("redis-cli: %w\n%s", err, out)
		}
		client := redis.NewClient(&redis.Options{Addr: addrs[2], Protocol: 2, DisableIdentity: true})
		defer client.Close()
		if !until(20*time.Second, func(ctx context.Context) bool {
			return strings.Contains(client.ClusterInfo(ctx).Val(), "cluster_state:ok")
		}) {
			return "", errors.New("the servers do not become a cluster")
		}
		return "redis+cluster://" + strings.Join(addrs[:2], ","), nil // the third one is found by itself
	})
}

// sentinels is a master, a replica, and three who see to it that one of them is the master.
type sentinels struct {
	address    string
	master     *exec.Cmd
	masterPort int
}

// startSentinels starts them until the tests are over.
func startSentinels() (*sentinels, error) {
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	s := &sentinels{masterPort: ports[0]}
	if s.master, err = startServer(ports[0], memoryOnly()...); err != nil {
		return nil, err
	}
	if _, err := startServer(ports[1], append(memoryOnly(), "--replicaof", "127.0.0.1 "+strconv.Itoa(ports[0]))...); err != nil {
		return nil, err
	}
	master := redis.NewClient(&redis.Options{Addr: at(ports[0]), Protocol: 2, DisableIdentity: true})
	defer master.Close()
	if !until(20*time.Second, func(ctx context.Context) bool {
		return strings.Contains(master.Info(ctx, "replication").Val(), "state=online")
	}) {
		return nil, errors.New("the replica does not find its master")
	}
	var addrs []string
	for _, port := range ports[2:] {
		if err := startSentinel(port, ports[0]); err != nil {
			return nil, err
		}
		addrs = append(addrs, at(port))
	}
	for _, addr := range addrs {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
		defer sentinel.Close()
		if !until(20*time.Second, func(ctx context.Context) bool {
			m := sentinel.Master(ctx, "main").Val()
			return m["num-other-sentinels"] == "2" && m["num-slaves"] == "1"
		}) {
			return nil, errors.New("the sentinels do not find each other")
		}
	}
	s.address = "redis+sentinel://" + strings.Join(addrs, ",") + "/main/0"
	return s, nil
}

// startSentinel starts one that watches the master at a port.
func startSentinel(port, master int) error {
	dir, err := os.MkdirTemp("", "livego-sentinel-")
	if err != nil {
		return err
	}
	programs.mu.Lock()
	programs.dirs = append(programs.dirs, dir)
	programs.mu.Unlock()
	file := filepath.Join(dir, "sentinel.conf")
	config := fmt.Sprintf("sentinel monitor main 127.0.0.1 %d 2\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n", master)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	_, err = startServer(port, file, "--sentinel")
	return err
}

// redisSentinel is a replica that has become the master, as its master is dead.
func redisSentinel(t *testing.T) string {
	t.Helper()
	return programs.sentinel.get(t, func() (string, error) {
		s, err := startSentinels()
		if err != nil {
			return "", err
		}
		_ = s.master.Process.Kill()
		client, err := redisconn.Open(s.address, "")
		if err != nil {
			return "", err
		}
		defer client.Close()
		if !until(30*time.Second, func(ctx context.Context) bool { return client.Set(ctx, "there", 1, 0).Err() == nil }) {
			return "", errors.New("there is no new master")
		}
		return s.address, nil
	})
}

// TestMasterDies: behind Sentinel the registry goes on with the replica, which knows what was
// registered. A stream keeps its home, and tokens rise.
func TestMasterDies(t *testing.T) {
	t.Parallel()
	needRedis(t)
	s, err := startSentinels()
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRedis(s.address, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a, c := node("a"), node("c")
	movie, gone := claim(t, r, "live/movie", a), claim(t, r, "live/gone", a)
	master := redis.NewClient(&redis.Options{Addr: at(s.masterPort), Protocol: 2, DisableIdentity: true})
	defer master.Close()
	if n := master.Do(t.Context(), "WAIT", 1, 5000).Val(); n != int64(1) {
		t.Fatalf("%v replicas have it", n)
	}
	_ = s.master.Process.Kill()
	_, err = r.Beat(t.Context(), a, nil)
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a master a beat gives %v", err)
	}
	var got Beaten
	if !until(30*time.Second, func(ctx context.Context) bool {
		got, err = r.Beat(ctx, a, []Held{{Stream: "live/movie", Token: movie.Claim.Token}})
		return err == nil
	}) {
		t.Fatalf("there is no new master: %v", err)
	}
	if len(got.Lost)+len(got.Tokens) != 0 {
		t.Errorf("the new master tells %+v", got)
	}
	wantHome(t, r, "live/movie", "a")
	wantHome(t, r, "live/gone", "a") // it is its claim that counts, until it gives it back
	if _, err := r.Claim(t.Context(), "live/movie", c); !errors.Is(err, ErrHeld) {
		t.Errorf("claim of a stream that has a home: %v", err)
	}
	if e := claim(t, r, "live/next", c); e.Claim.Token <= gone.Claim.Token {
		t.Errorf("token %d after %d", e.Claim.Token, gone.Claim.Token)
	}
}
