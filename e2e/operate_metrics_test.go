package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	alertsFile    = "../deploy/prometheus/alerts.yml"
	dashboardFile = "../deploy/grafana/livego.json"
)

// TestPrometheus lets Debian's Prometheus scrape a node of a cluster with publishers, viewers,
// recordings and refusals, and asks it all that the dashboard asks: each query has an answer, and
// each alert can be evaluated.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	address := freeAddress(t)
	env := []string{"REDIS_ADDR=" + startRedis(t).address, "CLUSTER_ADDR=" + freeAddress(t), "CLUSTER_SECRET=" + clusterSecret, "NODE_ID=a"}
	s := startWith(t, env, "--metrics_addr", address, "--record", "all", "--hls_dvr_window", "1m", "--hls_segment_duration", "1", "--publish_auth_url", receiver.URL, "--viewer_auth", "hook", "--viewer_auth_url", receiver.URL, "--hook_url", receiver.URL)
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	other := publish(t, s, s.key(t, room+"-2"), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer other.lose()
	s.waitOnAir(t, room+"-2")
	stays, leaves := watchFLV(t, s, room), watchFLV(t, s, room)
	defer stays.leave()
	stranger := dial(t, s.rtmp)
	stranger.connect(t, "live")
	if stranger.publish("nobody-has-such-a-key") == nil {
		t.Error("a wrong key was taken")
	}
	p := startPrometheus(t, address)
	eventually(t, 30*time.Second, "segments are stored for rewinding", func() bool {
		for _, path := range []string{".m3u8", "/index.m3u8", "/index-v0.m3u8", "/nothing.mp4"} {
			s.fetch(t, "http://"+s.hls+"/live/"+room+path)
		}
		return len(p.query(t, "livego_rewind_segments > 0")) > 0
	})
	leaves.leave()
	other.lose()
	// A rate needs two samples.
	for _, what := range []string{`livego_sessions_ended_total{role="player"}`, `livego_sessions_ended_total{role="publisher"}`, `livego_publishers_refused_total`, `livego_hls_requests_total{code="404"}`} {
		eventually(t, 30*time.Second, what+" has a rate", func() bool { return len(p.query(t, "rate("+what+"[30s])")) > 0 })
	}
	_, text, _ := s.fetch(t, "http://"+address+"/metrics")
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	queries := dashboardQueries(t)
	if len(queries) < 50 {
		t.Errorf("the dashboard has %d queries", len(queries))
	}
	for _, q := range queries {
		if len(p.query(t, q)) == 0 {
			t.Errorf("no answer: %s", q)
		}
	}
	p.checkAlerts(t)
}

// TestAlerts checks that each alert fires on the figures that it is for, and that the handbook says
// what to do then.
func TestAlerts(t *testing.T) {
	t.Parallel()
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("promtool", args...)
		c.Dir = filepath.Dir(alertsFile)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("check", "config", "prometheus.yml")
	run("check", "rules", "--lint-fatal", "alerts.yml")
	run("test", "rules", "alerts_test.yml")
	rules, tests, handbook := text(t, alertsFile), text(t, filepath.Join(filepath.Dir(alertsFile), "alerts_test.yml")), text(t, "../docs/operating.md")
	names := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(names) < 20 {
		t.Errorf("%d alerts", len(names))
	}
	for _, name := range names {
		if !strings.Contains(tests, "name: "+name[1]+"\n") || !strings.Contains(handbook, "`"+name[1]+"`") {
			t.Errorf("%s has no test, or is not in docs/operating.md", name[1])
		}
	}
}

func text(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dashboardQueries returns what the dashboard asks, with Grafana's variables filled in.
func dashboardQueries(t testing.TB) (all []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(text(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "30s")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, variables.Replace(target.Expr))
		}
	}
	return all
}

// prometheus is a running Prometheus.
type prometheus struct{ address string }

// startPrometheus scrapes an address each second, with the alerts that come with livego.
func startPrometheus(t testing.TB, target string) *prometheus {
	t.Helper()
	dir, p := t.TempDir(), &prometheus{freeAddress(t)}
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: livego, static_configs: [{targets: [%q]}]}]\n", rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address, "--log.level=warn")
	eventually(t, 30*time.Second, "Prometheus has scraped the server", func() bool {
		answer, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK && len(p.query(t, `up{job="livego"} == 1`)) > 0
	})
	return p
}

// get asks Prometheus, and fails the test if it does not understand.
func (p *prometheus) get(t testing.TB, path string, data any) {
	t.Helper()
	answer, err := http.Get("http://" + p.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	envelope := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Status != "success" {
		t.Fatalf("%s: %s %s %v", path, envelope.Status, envelope.Error, err)
	}
}

// query returns what an expression comes to now.
func (p *prometheus) query(t testing.TB, expression string) []json.RawMessage {
	t.Helper()
	var data struct{ Result []json.RawMessage }
	p.get(t, "/api/v1/query?query="+url.QueryEscape(expression), &data)
	return data.Result
}

// checkAlerts waits until each alert was evaluated, and looks how that went.
func (p *prometheus) checkAlerts(t testing.TB) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	unknown := ""
	eventually(t, 30*time.Second, "all alerts are evaluated", func() bool {
		p.get(t, "/api/v1/rules?type=alert", &data)
		unknown = ""
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				if rule.Health == "unknown" {
					unknown = rule.Name
				}
			}
		}
		return unknown == "" && len(data.Groups) == 1
	})
	for _, rule := range data.Groups[0].Rules {
		if rule.Health != "ok" {
			t.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError)
		}
	}
}
