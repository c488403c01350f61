package rtmp

import (
	"fmt"
	"strings"

	"livego/internal/amf"
)

// maxArguments bounds the values of a command that are looked at. play has the most that matter:
// name, transaction, null, stream, start, duration, reset.
const maxArguments = 16

// command is a command message (§7.2).
type command struct {
	name string
	// transaction is 0 if the sender wants no answer.
	transaction float64
	streamID    uint32
	// object is the command object: the properties of connect, null for most others.
	object any
	args   []any
}

// parseCommand reads a command message. Arguments that do not parse, for instance AMF3, and what
// follows them are left out: the name and the transaction are enough to answer. Wrong types are
// missing values.
func parseCommand(m Message) (command, error) {
	body := m.Body
	if m.Type == typeCommandAMF3 {
		trimmed, err := amf.TrimFormat(body)
		if err != nil {
			return command{}, fmt.Errorf("command: %w: %w", ErrProtocol, err)
		}
		body = trimmed
	}
	var values []any
	for len(body) > 0 && len(values) < maxArguments {
		value, n, err := amf.Decode(body)
		if err != nil {
			if len(values) == 0 {
				return command{}, fmt.Errorf("command: %w: %w", ErrProtocol, err)
			}
			break
		}
		values = append(values, value)
		body = body[n:]
	}
	c := command{streamID: m.StreamID, args: values}
	c.name, _ = c.pop().(string)
	c.transaction, _ = c.pop().(float64)
	c.object = c.pop()
	if c.name == "" {
		return command{}, protocolErrorf("command without a name")
	}
	return c, nil
}

// pop takes the first argument, nil if there is none.
func (c *command) pop() any {
	if len(c.args) == 0 {
		return nil
	}
	v := c.args[0]
	c.args = c.args[1:]
	return v
}

// str, number and boolean return an argument, or a default if it is missing or something else.
func (c *command) str(i int) string {
	if i < len(c.args) {
		s, _ := c.args[i].(string)
		return s
	}
	return ""
}

func (c *command) number(i int, missing float64) float64 {
	if i < len(c.args) {
		if n, ok := c.args[i].(float64); ok {
			return n
		}
	}
	return missing
}

// boolean takes numbers too: some clients send reset as 0 or 1.
func (c *command) boolean(i int, missing bool) bool {
	if i < len(c.args) {
		switch v := c.args[i].(type) {
		case bool:
			return v
		case float64:
			return v != 0
		}
	}
	return missing
}

// splitQuery cuts the query off a name.
func splitQuery(s string) (name, query string) {
	name, query, _ = strings.Cut(s, "?")
	return name, query
}

// appendCommand appends a command message to a message stream.
func appendCommand(dst []byte, f Format, values ...any) []byte {
	return f.AppendMessage(dst, typeCommandAMF0, 0, amf.Append(nil, values...))
}

// appendResult appends the answer to a transaction.
func appendResult(dst []byte, transaction float64, values ...any) []byte {
	return appendCommand(dst, Format{}, append([]any{"_result", transaction}, values...)...)
}

// appendFailure appends an _error with an information object.
func appendFailure(dst []byte, transaction float64, e *StatusError) []byte {
	return appendCommand(dst, Format{}, "_error", transaction, nil, information(e.Level, e.Code, e.Description))
}

// appendStatus appends an onStatus to a message stream (§7.2.2).
func appendStatus(dst []byte, streamID uint32, level, code, description string) []byte {
	return appendCommand(dst, Format{StreamID: streamID}, "onStatus", 0.0, nil, information(level, code, description))
}

// information builds an information object. An empty level means error.
func information(level, code, description string) amf.Object {
	if level == "" {
		level = levelError
	}
	return amf.Object{
		{Name: "level", Value: level},
		{Name: "code", Value: code},
		{Name: "description", Value: description},
	}
}
