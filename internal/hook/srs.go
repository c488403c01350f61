package hook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"livego/internal/event"
)

// SRS speaks to receivers that were written for SRS's HTTP callbacks: on_publish, on_unpublish,
// on_play and on_stop, answered by 0 or {"code":0}. Other events are not sent.
type SRS struct{}

var (
	_ Format    = SRS{}
	_ Questions = SRS{}
)

// srsActions are the events that SRS knows.
var srsActions = map[event.Type]string{
	event.StreamStarted: "on_publish", event.StreamEnded: "on_unpublish",
	event.ViewerJoined: "on_play", event.ViewerLeft: "on_stop",
}

// srsMessage is the body of a callback.
type srsMessage struct {
	ServerID  string `json:"server_id"`
	Action    string `json:"action"`
	ClientID  string `json:"client_id"`
	IP        string `json:"ip"`
	Vhost     string `json:"vhost"`
	App       string `json:"app"`
	TCURL     string `json:"tcUrl"`
	Stream    string `json:"stream"`
	Param     string `json:"param"`
	StreamURL string `json:"stream_url"`
	StreamID  string `json:"stream_id"`
}

func srsBody(action, node, name, query string, s *event.Session) ([]byte, error) {
	app, stream, _ := strings.Cut(name, "/")
	m := srsMessage{
		ServerID: node, Action: action, Vhost: "__defaultVhost__", App: app, Stream: stream, StreamURL: "/" + name, StreamID: name,
		TCURL: "rtmp://__defaultVhost__/" + app,
	}
	if query != "" {
		m.Param = "?" + query
	}
	if s != nil {
		m.ClientID, m.IP = s.ID, s.Remote
		if host, _, err := net.SplitHostPort(s.Remote); err == nil {
			m.IP = host
		}
	}
	return json.Marshal(m)
}

// Body implements Format.
func (SRS) Body(e *event.Event) []byte {
	action, ok := srsActions[e.Type]
	if !ok {
		return nil
	}
	body, err := srsBody(action, e.Node, e.Stream, "", e.Session)
	if err != nil {
		return nil
	}
	return body
}

// Accepted implements Format: status 200 and the code 0.
func (SRS) Accepted(status int, body []byte) bool {
	code, err := srsCode(body)
	return status == 200 && err == nil && code == 0
}

// Question implements Questions.
func (SRS) Question(q *Question) ([]byte, error) {
	action := "on_play"
	if q.Type == "publish" {
		action = "on_publish"
	}
	return srsBody(action, q.Node, q.Stream, q.Query, q.Session)
}

// Decide implements Questions: any other code than 0, and any other status than 200, refuses, as in
// SRS. Limits may stand beside the code.
func (SRS) Decide(status int, body []byte) (Decision, error) {
	if status/100 == 5 {
		return Decision{}, fmt.Errorf("status %d", status)
	}
	code, err := srsCode(body)
	if err != nil && status == 200 {
		return Decision{}, err
	}
	d := Decision{Allow: status == 200 && code == 0, TTL: defaultTTL}
	if !d.Allow {
		return d, nil
	}
	d.Limits, err = srsLimits(body)
	return d, err
}

// srsLimits reads {"code":0,"limits":{…}}, which other receivers do not have.
func srsLimits(body []byte) (map[string]string, error) {
	var object struct {
		Limits limits `json:"limits"`
	}
	if trimmed := bytes.TrimSpace(body); !bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, nil
	}
	err := json.Unmarshal(body, &object)
	return object.Limits, err
}

// srsCode reads 0 or {"code":0}.
func srsCode(body []byte) (int, error) {
	var code int
	if json.Unmarshal(body, &code) == nil {
		return code, nil
	}
	var object struct {
		Code *int `json:"code"`
	}
	if json.Unmarshal(body, &object) != nil || object.Code == nil {
		return 0, fmt.Errorf("the answer is neither a number nor an object with a code")
	}
	return *object.Code, nil
}
