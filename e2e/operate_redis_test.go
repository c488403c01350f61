package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redis is a real redis-server of the test's own.
type redis struct {
	address, dir string
	program      *program
}

func startRedis(t testing.TB) *redis {
	t.Helper()
	r := &redis{address: freeAddress(t), dir: t.TempDir()}
	r.up(t)
	return r
}

func (r *redis) up(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(r.address)
	r.program = launch(t, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--appendonly", "yes")
	eventually(t, 10*time.Second, "redis-server answers", func() bool {
		answer, err := r.try("PING")
		return err == nil && answer == "PONG"
	})
}

// do runs a command of words without spaces.
func (r *redis) do(t testing.TB, command string) string {
	t.Helper()
	answer, err := r.try(command)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (r *redis) try(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.address, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "%s\r\n", command)
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	line = strings.TrimSpace(line)
	if err != nil || len(line) == 0 || line[0] != '$' {
		return strings.TrimLeft(line, "+:"), err
	}
	size, err := strconv.Atoi(line[1:])
	if size < 0 || err != nil {
		return "", err
	}
	line, err = in.ReadString('\n')
	return strings.TrimSpace(line), err
}

// TestRedis keeps keys in Redis, which goes down and comes back while a publisher is on air.
func TestRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	env := []string{"REDIS_ADDR=" + r.address}
	s, other := startWith(t, env), startWith(t, env)
	tags := flvClip(t, "h264-aac", 5)
	key := s.key(t, "m")
	if again := other.key(t, "m"); again != key {
		t.Errorf("two nodes have two keys: %s and %s", key, again)
	}
	encoder := publish(t, other, key, tags, pacing{loop: true})
	other.waitOnAir(t, "m")

	r.program.kill()
	if status, data := s.control(t, "/control/get?room=new"); status != http.StatusInternalServerError {
		t.Errorf("get without Redis answers %d %s", status, data)
	}
	if code := refused(t, s, "live", key); code == "" || code == "NetStream.Publish.Start" {
		t.Errorf("publishing without Redis is answered with %q", code)
	}
	if !other.onAir(t, "m") {
		t.Error("the publisher on air did not stay")
	}
	r.up(t)
	eventually(t, 15*time.Second, "keys work again", func() bool {
		status, data := s.control(t, "/control/get?room=m")
		return status == http.StatusOK && data == key
	})

	// A reset on one node closes the publisher on another one.
	eventually(t, 15*time.Second, "the other node is there again", func() bool {
		status, _ := other.control(t, "/control/get?room=m")
		return status == http.StatusOK
	})
	s.control(t, "/control/reset?room=m")
	encoder.closedByServer(t, 35*time.Second)
}

// TestRedisDownAtStart starts without Redis: the server runs, refuses publishers, and recovers by
// itself.
func TestRedisDownAtStart(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.program.kill()
	s := startWith(t, []string{"REDIS_ADDR=" + r.address})
	if code := refused(t, s, "live", strings.Repeat("a", 48)); code == "" {
		t.Error("publishing without Redis gets no answer")
	}
	r.up(t)
	eventually(t, 15*time.Second, "keys work", func() bool {
		status, _ := s.control(t, "/control/get?room=m")
		return status == http.StatusOK
	})
}

// TestRedisOldLayout reads keys that LiveGo left in Redis, and forgets them with reset and delete.
func TestRedisOldLayout(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	key, lone := strings.Repeat("0aB", 16), strings.Repeat("1cD", 16)
	r.do(t, "SET movie "+key)
	r.do(t, "SET "+key+" movie")
	r.do(t, "SET "+lone+" movie") // a key that LiveGo did not revoke
	s := startWith(t, []string{"REDIS_ADDR=" + r.address})
	publish(t, s, key, flvClip(t, "h264-aac", 5), pacing{}).lose()
	if code := refused(t, s, "live", lone); code != "NetStream.Publish.Denied" {
		t.Errorf("a key that its room does not know is answered with %s", code)
	}
	if got := s.key(t, "movie"); got != key {
		t.Errorf("the room's key is %s", got)
	}
	s.control(t, "/control/delete?room=movie")
	if left := r.do(t, "GET "+key); left != "" {
		t.Errorf("the old entry is still there: %s", left)
	}
	if code := refused(t, s, "live", key); code != "NetStream.Publish.Denied" {
		t.Errorf("the deleted key is answered with %s", code)
	}
}

// TestDefect36DeleteWithRedis deletes rooms in Redis: the status says what happened.
func TestDefect36DeleteWithRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	s := startWith(t, []string{"REDIS_ADDR=" + r.address})
	s.key(t, "m")
	if status, data := s.control(t, "/control/delete?room=m"); status != 200 || data != "Ok" {
		t.Errorf("delete answers %d %s", status, data)
	}
	if status, data := s.control(t, "/control/delete?room=m"); status != 404 || data != "room not found" {
		t.Errorf("the second delete answers %d %s", status, data)
	}
	// What stays, for some days, is that the room's key was revoked, for nodes that did not hear of
	// it.
	if left := r.do(t, "DBSIZE"); left > "1" || r.do(t, "EXISTS {livego}:room:m") != "0" {
		t.Errorf("%s entries are left", left)
	}
	r.program.kill()
	if status, _ := s.control(t, "/control/delete?room=m"); status != 500 {
		t.Errorf("delete without Redis answers %d", status)
	}
}
