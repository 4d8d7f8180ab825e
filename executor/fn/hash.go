package fn

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func hashDefs() []Def {
	md := func(_ *Ctx, a values) (value, error) {
		h := md5.Sum([]byte(a[0].S))
		return text(hex.EncodeToString(h[:]))
	}
	return []Def{
		def("md5", args{tText}, tText, md).about("MD5 in hexadecimal digits.", "md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
		def("md5", args{tBytea}, tText, md).about("MD5 in hexadecimal digits."),
		def("sha256", args{tBytea}, tBytea, func(_ *Ctx, a values) (value, error) {
			h := sha256.Sum256([]byte(a[0].S))
			return stored(types.Bytea, string(h[:])), nil
		}).about("SHA-256.", `encode(sha256('abc'::bytea), 'hex')`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
		def("encode", args{tBytea, tText}, tText, encode).about("Octets as text: hex, base64 or escape.", `encode('\x1234'::bytea, 'base64')`, "EjQ="),
		def("decode", args{tText, tText}, tBytea, decode).about("Text to octets: hex, base64 or escape.", "decode('MTIzAAE=', 'base64')", `\x3132330001`),
		def("length", args{tBytea}, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(len(a[0].S))) }).
			about("Number of octets.", `length('\x1234'::bytea)`, "2"),
		def("octet_length", args{tBytea}, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(len(a[0].S))) }).
			about("Number of octets.", `octet_length('\x1234'::bytea)`, "2"),
		def("gen_random_uuid", nil, tUUID, func(*Ctx, values) (value, error) {
			var u [16]byte
			_, _ = rand.Read(u[:]) // never fails
			u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
			return stored(types.UUID, string(u[:])), nil
		}).volatile().about("A random UUID, version 4."),
	}
}

func unknownEncoding(name string) error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized encoding: \"%s\"", name)
}

func encode(_ *Ctx, a values) (value, error) {
	b := []byte(a[0].S)
	switch strings.ToLower(a[1].S) {
	case "hex":
		return text(hex.EncodeToString(b))
	case "base64":
		s := base64.StdEncoding.EncodeToString(b)
		var out strings.Builder
		for len(s) > 76 {
			out.WriteString(s[:76] + "\n")
			s = s[76:]
		}
		return text(out.String() + s)
	case "escape":
		var out []byte
		for _, c := range b {
			switch {
			case c == '\\':
				out = append(out, '\\', '\\')
			case c == 0 || c >= 0x80:
				out = append(out, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			default:
				out = append(out, c)
			}
		}
		return text(string(out))
	}
	return value{}, unknownEncoding(a[1].S)
}

func decode(_ *Ctx, a values) (value, error) {
	switch strings.ToLower(a[1].S) {
	case "hex":
		return types.ParseText(tBytea, `\x`+a[0].S, nil)
	case "escape":
		v, err := types.ParseText(tBytea, a[0].S, nil)
		return v, err
	case "base64":
		s := strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace(a[0].S)
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "invalid base64 end sequence").
				WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
		}
		return stored(types.Bytea, string(b)), nil
	}
	return value{}, unknownEncoding(a[1].S)
}
