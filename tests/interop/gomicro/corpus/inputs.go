package main

import (
	"fmt"
	"strings"

	"hostel.test/interop/gomicro/corpus/broker"
)

const good = `{"Header":{"Micro-Topic":"a.b","X":"\u003cq\"\/\n\u00e9é"},"Body":"aGVsbG8="}`

// Whole bodies of which each is a case of its own.
var odd = []string{
	``, ` `, `null`, ` null `, `nul`, `nulL`, `nullx`, `true`, `false`, `fals`, `tru e`, `7`, `-7.5e+3`, `"text"`, `[]`,
	`[1,2]`, `{}`, ` { } `, "\t\r\n{}", `{}}`, `{} x`, `{},`, `,{}`, `:{}`, `, `, `]`, `}`, `{]`, `[}`, `{"a":]`,
	`{"a":}`, `{"a"}`, `{"a":1]`, `{"a":1,}`, `{,}`, `{1:2}`, `{'a':1}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1;"b":2}`,
	`{"a" 1}`, `{"a"::1}`, `{"a":1}{"b":2}`, `[1,]`, `[1 2]`, `[,1]`, `{"x":[1,}`, `{"x":[1}`, `{"x":{"y":1]}`, `{"x":[[[`,
	`{"x":{"y":{"z":[1,2,{"w":null}]}}}`, `{"x":nul}`, `{"x":nulx}`, `{"x":trux}`, `{"x":t}`, `{"x":falsy}`, `{"x":NaN}`,
	`{"x":01}`, `{"x":-}`, `{"x":-a}`, `{"x":1.}`, `{"x":1.a}`, `{"x":1e}`, `{"x":1e+}`, `{"x":1e+a}`, `{"x":.5}`,
	`{"x":+1}`, `{"x":1.5E-3}`, `{"x":-0}`, `{"x":0x1}`, `-`, `1.`, `1e`, `-x`, `1x`,
	`{"x":"\q"}`, `{"x":"\`, `{"x":"\u`, `{"x":"\u12`, `{"x":"\u12"}`, `{"x":"\u12G4"}`, `{"x":"\u12 4"}`, `{"x":"\u 1234"}`,
	`{"x":"\uD800"}`, `{"x":"\` + "`" + `"}`, `{"x":"\é"}`, `{"x":"\'"}`, "{\"x\":\"\\\n\"}", "{\"x\":\"\\\x00\"}",
	"{\"x\":\"a\nb\"}", "{\"x\":\"a\tb\"}", "{\"x\":\"a\x00b\"}", "{\"x\":\"a\x1fb\"}", "{\"x\":\"a\x7fb\"}",
	"{\"x\":\"\xff\xfe\"}", "{\"x\":\xff}", "{\"\xff\":1}", "{\"x\":\"\\\xff\"}", "{\"x\":\"\\u12\xff4\"}", "\xef\xbb\xbf{}", "\xff",
	"{\"x\":\"\\\xc3\xa9\"}", `{"x":é}`, "{\"x\":\u00a0}", "{\"x\":\u200b}", "{\"x\":\u2028}", "{\"x\":\u0301}", "{\"x\":😀}",
	"{\"x\":\U000e0001}", "{\"x\":\ufffd}", "{\"x\":\u0000}", "{\"x\":\x7f}", "{\"x\":\x07\x08\x0b\x0c}", `{"x":'}`, `{"x":\}`,
	"{\"x\":\"\\\u2028\"}", "{\"x\":\"\\\ufffd\"}", "{\"x\":\"\\\u00a0\"}", `{"x`, `{"x"`, `{"x":`, `{"x":1`, `{"x":1,`, `{"x":"`,
	`"`, `"\ud800\udc00`, `"a`, `{"x":"\u003`, "{\"x\":\"\\u00\u00e9\"}", `{"x":"\ud83d\ude0"}`,

	// Names of fields.
	`{"header":{"a":"1"},"body":"AQ=="}`, `{"HEADER":{"a":"1"},"BODY":"AQ=="}`, `{"hEaDeR":{"a":"1"},"bOdY":"AQ=="}`,
	`{"Head_er":{"a":"1"},"Bo-dy":"AQ=="}`, `{"\u0048eader":{"a":"1"},"Bod\u0079":"AQ=="}`, `{" Header":{"a":"1"}}`,
	`{"Header ":{"a":1}}`, `{"Ｈeader":{"a":1}}`, `{"Header\u0000":1}`, `{"":1}`, `{"\ud800":1}`, "{\"Heade\xff\":1}",
	`{"Header":{"a":"1"},"header":{"b":"2"}}`, `{"header":{"a":"1"},"Header":{"a":"2"}}`, `{"Header":{"a":"1"},"Header":null}`,
	`{"Header":null,"Header":{"a":"1"}}`, `{"Header":{"a":"1"},"Header":{}}`, `{"Header":{"a":"1"},"Header":[]}`,

	// Headers.
	`{"Header":{"a":"1","a":"2"}}`, `{"Header":{"a":"1","a":null}}`, `{"Header":{"a":null}}`, `{"Header":{"b":"1","a":"2","B":"3"}}`,
	`{"Header":{"\u0061":"1","a":"2"}}`, `{"Header":{"":"1"}}`, `{"Header":{"a b":"1"}}`, "{\"Header\":{\"\xff\":\"1\",\"\xfe\":\"2\"}}",
	"{\"Header\":{\"a\":\"\xff\"}}", "{\"Header\":{\"a\":\"\xe2\x82\"}}", "{\"Header\":{\"a\":\"\xed\xa0\x80\"}}", "{\"Header\":{\"a\":\"\xf0\x9f\x98x\"}}",
	"{\"Header\":{\"a\":\"\xc0\x80\xf5\x80\x80\x80\"}}", `{"Header":{"a":"\ud800"}}`, `{"Header":{"a":"\udc00"}}`, `{"Header":{"a":"\ud83d\ude00"}}`,
	`{"Header":{"a":"\ud83dx"}}`, `{"Header":{"a":"\ud83d\ud83d\ude00"}}`, `{"Header":{"a":"\ud83d\n"}}`, `{"Header":{"a":"\ud83d\u0041"}}`,
	`{"Header":{"a":"\uDBFF\uDFFF"}}`, `{"Header":{"a":"\"\\\/\b\f\n\r\t\u0000\u001f\u007f\u2028"}}`, "{\"Header\":{\"a\":\"\u2028\u2029\"}}",
	`{"Header":{"a":7}}`, `{"Header":{"a":-1.5}}`, `{"Header":{"a":true}}`, `{"Header":{"a":false}}`, `{"Header":{"a":[]}}`, `{"Header":{"a":[1]}}`,
	`{"Header":{"a":{}}}`, `{"Header":{"a":{"b":[]}}}`, `{"Header":{"7":7}}`, `{"Header":{"a.7":7}}`, `{"Header":{"7.a":7}}`, `{"Header":{"":7}}`,
	`{"Header":{"a.":7}}`, `{"Header":{"a/b":7}}`, `{"Header":{"a/7":7}}`, `{"Header":{"a~b":7}}`, `{"Header":{"a\"<&>":7}}`, `{"Header":{"é":7}}`,
	`{"Header":{"a\n\u2028":7}}`, "{\"Header\":{\"a\xff\":7}}", `{"Header":{"a\ud800":7}}`, `{"Header":{"٣":7}}`, `{"header":{"a":7}}`,
	`{"H\u0065ader":{"a":7}}`, `{"Header":{"a":7,"b":true}}`, `{"Header":{"a":true},"Body":7}`, `{"Header":{"a":7},"x":}`, `{"Header":{"a":7}`,
	`{"Header":[]}`, `{"Header":"x"}`, `{"Header":7}`, `{"Header":true}`, `{"header":["a"]}`, `{"Header":[{]}`, `{"Header":{"a":"1",}}`,
	`{"Header":{"a":"1"}`, `{"Header":{"a"}}`, `{"Header":{"a":}}`, `{"Header":{a:1}}`, `{"Header":{"a":"1" "b":"2"}}`, `{"Header":{"a":nul}}`,

	// Bodies.
	`{"Body":null}`, `{"Body":""}`, `{"Body":[]}`, `{"Body":[ ]}`, `{"Body":[0,255, 7 ]}`, `{"Body":[null]}`, `{"Body":[1,null,3]}`,
	`{"Body":[256]}`, `{"Body":[-1]}`, `{"Body":[-0]}`, `{"Body":[1.0]}`, `{"Body":[1e2]}`, `{"Body":[18446744073709551616]}`, `{"Body":[99999999999999999999999]}`,
	`{"Body":["a"]}`, `{"Body":[true]}`, `{"Body":[[]]}`, `{"Body":[[1]]}`, `{"Body":[{}]}`, `{"Body":[1,"a",2]}`, `{"Body":[0,1,2,3,4,5,6,7,8,9,300]}`,
	`{"body":[300]}`, `{"Body":[1,]}`, `{"Body":[1 2]}`, `{"Body":[1`, `{"Body":[01]}`, `{"Body":7}`, `{"Body":true}`, `{"Body":{}}`, `{"Body":{"a":1}}`,
	`{"body":7}`, `{"Body":"AQID","Body":"BA=="}`, `{"Body":"AQID","Body":[9]}`, `{"Body":"AQID","Body":[null,9]}`, `{"Body":[1,2,3],"Body":"BA=="}`,
	`{"Body":"AQID","Body":null}`, `{"Body":"AQID","Body":null,"Body":[null]}`, `{"Body":"AQID","Body":""}`, `{"Body":"!","Body":"AQID"}`, `{"Body":"AQID","Body":"!"}`,
	`{"Body":"AQID","Body":[]}`, `{"Body":"!","Header":7}`, `{"Body":"!"x`, `{"body":"!"}`, `{"Body":"A\u0051ID"}`, `{"Body":"AQ\/D"}`,
	`{"Body":"\ud800"}`, "{\"Body\":\"AQ\xff=\"}", `{"Body":"é"}`, `{"Body":"AQID\u0000"}`, `{"Body":"` + strings.Repeat("AQID", 40) + `"}`,
	`{"Body":"` + strings.Repeat("AQID", 40) + `!"}`, `{"Body":"` + strings.Repeat("AQID", 20) + `!` + strings.Repeat("AQID", 20) + `"}`,
	`{"Body":"` + strings.Repeat("AQID\\n", 40) + `AQ=="}`, `{"Body":"` + strings.Repeat("AQID\\r\\n", 40) + `AQ="}`,
}

// Texts in a body's place, with `\n` for a line's end.
var texts = []string{
	"A", "AA", "AAA", "AAAA", "=", "==", "===", "====", "A=", "A==", "A===", "AA=", "AA==", "AA===", "AAA=", "AAA==", "AAAA=",
	"AAAA==", "AB==", "AAB=", "/+==", "-_==", "AA==AA==", "AA=A", "AA=\\n=", "AA\\n==", "A\\nA==", "AA==\\n", "\\nAA==", "\\n", "\\r\\n",
	"AA=\\n", "AA=\\nA", "AA=\\n\\n=\\n", "AAA=\\n", "AAA=\\nA", "AAA\\n=", "A\\n", "AA\\n", "AAA\\n", "AA AA", "AAAA ", " AAAA", "AA\\tAA", "@@@", "AAAA@", "AAAAA",
	"AAAAAA", "AAAAAAA", "AAAAAAAAA", "AAAAAAAAAA", "AAAAAAAAAAAA=", "aGVs\\nbG8=", "AA==x", "AAA=x", "AA=x", "AAAAAAAA@AAAAAAA", "AAAAAAAAAAAAAAA@",
}

func inputs() [][]byte {
	var all [][]byte
	add := func(text string) { all = append(all, []byte(text)) }
	for _, text := range odd {
		add(text)
	}
	for _, text := range texts {
		add(`{"Body":"` + text + `"}`)
	}
	for at := range good {
		add(good[:at])
	}
	// Every byte of a good body replaced by one that may not stand there, each in its turn.
	wrong := "x\",:]}\\[{ 0-\n\xff"
	for at := range good {
		for turn := range 3 {
			bytes := []byte(good)
			bytes[at] = wrong[(at*3+turn)%len(wrong)]
			all = append(all, bytes)
		}
	}
	return all
}

func messages() []broker.Message {
	everything := func(from, to rune) string {
		var text strings.Builder
		for c := from; c < to; c++ {
			text.WriteRune(c)
		}
		return text.String()
	}
	all := []broker.Message{
		{Header: map[string]string{}, Body: []byte{}},
		{Header: map[string]string{"Micro-Topic": "a.b", "id": "7", "X-Quote": `a"<b>&é`, "a": "", "B": "2", "ä": "3", "😀": "4", "\uffff": "5"}, Body: []byte("hello 0")},
		{Header: map[string]string{"a": everything(0, 0x100), "b": everything(0x2000, 0x2040), "c": "\ufffd\ufeff😀\U0010ffff"}, Body: []byte{0, 255}},
	}
	for length := range 9 {
		body := make([]byte, length)
		for at := range body {
			body[at] = byte(251*at + length)
		}
		all = append(all, broker.Message{Header: map[string]string{"n": fmt.Sprint(length)}, Body: body})
	}
	return all
}

func queries() []string {
	var every strings.Builder
	for b := range 128 {
		fmt.Fprintf(&every, "%%%02x", b)
	}
	return []string{
		"", "id", "id=", "=id", "&", "id=a", "id=a&id=b", "id=&id=b", "ID=a", "x=1&id=a&y=2", "&&id=a&&", "id=a=b", "id=a+b", "id=a%20b", "id=a%2Bb", "%69%64=a",
		"id=%C3%A9", "id=é", "id=a;b", "x;y=1&id=a", "id=a;id=b&id=c", "id=%", "id=%4", "id=%4g", "id=%zz&id=b", "%zz=1&id=b", "id=%41%", "id=%F0%9F%98%80",
		"id=a%00b", "id=a%26b%3Dc", "id=a/b?c#d", "id=~a.b-c_d*e!f'g(h)i,j:k@l$m", "i+d=a&id=b", "id=" + every.String(), "id=go.micro.topic.foo-00000000-0000-4000-8000-000000037771",
	}
}
