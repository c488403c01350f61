package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"livego/internal/event"
)

// ErrUnanswered: the receiver could not be asked, or its answer means nothing.
var ErrUnanswered = errors.New("the hook did not answer")

const (
	defaultTTL = time.Minute
	maxTTL     = 24 * time.Hour
)

// Question is what a receiver is asked.
type Question struct {
	// ID names the question; it is the webhook-id.
	ID string `json:"id"`
	// Type is publish or view.
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Node string    `json:"node,omitempty"`
	// Stream is app/stream.
	Stream    string         `json:"stream"`
	Rendition string         `json:"rendition,omitempty"`
	Session   *event.Session `json:"session,omitempty"`
	// Query is what the client's URL said beside the name, without leading question mark; it may
	// hold what the receiver gave to the client as a password.
	Query string `json:"query,omitempty"`
	// Token is what a viewer showed.
	Token string `json:"token,omitempty"`
	// Client is how the encoder or player calls itself.
	Client string `json:"client,omitempty"`
}

// Decision is a receiver's answer.
type Decision struct {
	Allow bool
	// Reason is why not: one line for the client. It may be empty.
	Reason string
	// TTL is for how long the answer holds: 1 min unless it says.
	TTL time.Duration
	// Limits are what a publisher may send, by the names of the options and written as for them;
	// what is not named is as the options say.
	Limits map[string]string
}

// verdict is the body of an answer. All of it may be missing.
type verdict struct {
	Allow  *bool    `json:"allow"`
	Reason string   `json:"reason"`
	TTL    *float64 `json:"ttl"`
	Limits limits   `json:"limits"`
}

// limits are values by name: a number, a text, or a list of texts each.
type limits map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (l *limits) UnmarshalJSON(text []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	*l = make(limits)
	for name, value := range values {
		var list []string
		var number float64
		var one string
		switch {
		case json.Unmarshal(value, &list) == nil:
			(*l)[name] = strings.Join(list, ",")
		case json.Unmarshal(value, &number) == nil:
			(*l)[name] = strconv.FormatFloat(number, 'f', -1, 64)
		case json.Unmarshal(value, &one) == nil:
			(*l)[name] = one
		default:
			return fmt.Errorf("limits: %.64q is neither number, text nor list of texts", name)
		}
	}
	return nil
}

// Asker asks one receiver. Its methods may be called from any goroutine.
type Asker struct {
	address string
	secrets []Secret
	timeout time.Duration
	format  Questions
	client  *http.Client
	tally   *Tally
}

// Answers counts what became of questions.
type Answers struct{ Allowed, Refused, Unanswered uint64 }

// Tally is what several askers count, and read by anyone. The zero value is ready.
type Tally struct{ allowed, refused, unanswered atomic.Uint64 }

// Answers returns the counts so far.
func (t *Tally) Answers() Answers {
	return Answers{t.allowed.Load(), t.refused.Load(), t.unanswered.Load()}
}

// CountIn has the asker count in t, together with those that it follows, so that what is counted
// never goes back. It is called before the first question.
func (a *Asker) CountIn(t *Tally) { a.tally = t }

// Answers returns the counts so far: of all askers, if they count together.
func (a *Asker) Answers() Answers { return a.tally.Answers() }

// Questions is how a receiver wants to be asked.
type Questions interface {
	// Question returns what to send.
	Question(q *Question) ([]byte, error)
	// Decide reads the answer. The error says that it means nothing.
	Decide(status int, body []byte) (Decision, error)
}

// NewAsker returns what asks the receiver at an address, each time for at most timeout (0: 2 s).
// format nil: questions and answers as this package has them. transport nil: the network.
func NewAsker(address string, secrets []Secret, timeout time.Duration, format Questions, transport http.RoundTripper) (*Asker, error) {
	if err := CheckURL(address); err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(address), err)
	}
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	if format == nil {
		format = plain{}
	}
	if transport == nil {
		transport = newTransport()
	}
	return &Asker{address: address, secrets: secrets, timeout: timeout, format: format, client: newClient(transport), tally: new(Tally)}, nil
}

// Ask returns the receiver's decision, or ErrUnanswered with the reason. A connection that the
// receiver reset is tried once more: it may have been an idle one.
func (a *Asker) Ask(ctx context.Context, q Question) (Decision, error) {
	d, err := a.ask(ctx, q)
	switch {
	case err != nil:
		a.tally.unanswered.Add(1)
	case d.Allow:
		a.tally.allowed.Add(1)
	default:
		a.tally.refused.Add(1)
	}
	return d, err
}

func (a *Asker) ask(ctx context.Context, q Question) (Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	body, err := a.format.Question(&q)
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	said, err := post(ctx, a.client, a.address, q.ID, body, a.secrets, time.Now())
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		said, err = post(ctx, a.client, a.address, q.ID, body, a.secrets, time.Now())
	}
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	d, err := a.format.Decide(said.status, said.body)
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	d.Reason = oneLine(d.Reason)
	return d, nil
}

func (plain) Question(q *Question) ([]byte, error) { return json.Marshal(q) }

// Decide: 2xx allows unless the body says otherwise, 4xx refuses, and all else is no answer.
func (plain) Decide(status int, body []byte) (Decision, error) {
	var v verdict
	if err := json.Unmarshal(body, &v); err != nil {
		if json.Valid(body) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
			return Decision{}, fmt.Errorf("the answer cannot be understood: %w", err)
		}
		v = verdict{} // nothing, or a page of a framework
	}
	d := Decision{Allow: status/100 == 2, Reason: v.Reason, TTL: defaultTTL, Limits: v.Limits}
	if status/100 != 2 && status/100 != 4 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return d, fmt.Errorf("status %d", status)
	}
	if v.Allow != nil {
		d.Allow = d.Allow && *v.Allow
	}
	if v.TTL != nil && *v.TTL >= 0 {
		d.TTL = min(time.Duration(*v.TTL*float64(time.Second)), maxTTL)
		if *v.TTL > maxTTL.Seconds() {
			d.TTL = maxTTL
		}
	}
	return d, nil
}

// oneLine cuts a reason to what an encoder shows and a log takes.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return strings.TrimSpace(text)
}
