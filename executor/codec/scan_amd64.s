#include "textflag.h"

// Three constants of 16 equal bytes, see stringStop in swar.go.
DATA flip<>+0(SB)/8, $0x0202020202020202
DATA flip<>+8(SB)/8, $0x0202020202020202
GLOBL flip<>(SB), RODATA|NOPTR, $16

DATA limit<>+0(SB)/8, $0x2020202020202020
DATA limit<>+8(SB)/8, $0x2020202020202020
GLOBL limit<>(SB), RODATA|NOPTR, $16

DATA backslash<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
DATA backslash<>+8(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL backslash<>(SB), RODATA|NOPTR, $16

// func scanString(s []byte) (n, high int)
//
// SSE2 only, which every amd64 has. A load covers s[AX:AX+16] and happens only while AX <= len(s)-16.
TEXT ·scanString(SB), NOSPLIT, $0-40
	MOVQ  s_base+0(FP), SI
	MOVQ  s_len+8(FP), CX
	XORQ  AX, AX
	PXOR  X7, X7
	SUBQ  $16, CX
	JLT   done
	MOVOU flip<>(SB), X4
	MOVOU limit<>(SB), X5
	MOVOU backslash<>(SB), X6

loop:
	MOVOU    (SI)(AX*1), X0
	POR      X0, X7
	MOVO     X0, X1
	PXOR     X4, X1
	MOVO     X1, X2
	PMINUB   X5, X2
	PCMPEQB  X1, X2         // x^2 <= 0x20: a control character or the quote
	PCMPEQB  X6, X0         // the backslash
	POR      X2, X0
	PMOVMSKB X0, DX
	TESTL    DX, DX
	JNE      found
	ADDQ     $16, AX
	CMPQ     AX, CX
	JLE      loop
	JMP      done

found:
	BSFL DX, DX
	ADDQ DX, AX

done:
	PMOVMSKB X7, BX
	MOVQ     AX, n+24(FP)
	MOVQ     BX, high+32(FP)
	RET
