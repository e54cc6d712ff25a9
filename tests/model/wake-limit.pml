/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake-limit.pml - the limit, which slow paths, the flusher and close all write: bytes, watermark and
 * a full ring, when no timer helps, because the deadline is off.
 *
 * It models engine/flush/limit.c (labels limit .. moved), signal.c (after .. told) and deal() with the
 * rest of sleep.c on rseq rings, one for each thread: a store buffer for the head, sections that a
 * membarrier starts again. The alarm is reduced to one bit and its epoch, see wake.pml. Every record
 * takes one byte, a stop is one byte further, a ring has SIZE of them, its watermark lies at MARK.
 *
 * A thread may stop for ever at any step: what must hold then, holds in every state in which the
 * others have gone on. Beyond that, thread 0 may stop for good where it has set out to write the
 * event and has not: Judge then wants the others to have written it for a reason of their own.
 *
 * CHANGE: once, while it is busy, the flusher changes the threshold of bytes to TB2.
 * CLOSE: somebody closes the rings: no push comes after, whoever was about to move the limit.
 *
 * Promised: no record is written over one that was not released. Once nobody goes on, the flusher is
 * not asleep over a threshold of bytes (and a stop for each ring), a passed watermark, or a ring
 * that a push has found full. No run goes on for ever: see LIVE.
 *
 *     run slice -DTB=1 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     run slice -DTB=9 -DMARK=3 -DSIZE=4 -DPUSH0=5 -DPUSH1=1
 *     run slice -DTB=9 -DMARK=9 -DSIZE=1 -DPUSH0=4 -DPUSH1=0
 *     run full -DTB=1 -DMARK=1 -DSIZE=2 -DPUSH0=2 -DPUSH1=2
 *     run full -DCHANGE -DTB=2 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     run full -DCLOSE -DTB=2 -DMARK=1 -DSIZE=2 -DPUSH0=3 -DPUSH1=1
 *     live full -DTB=1 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     mutant slice M_PRESSED_BEHIND_TAIL -DTB=9 -DMARK=9 -DSIZE=1 -DPUSH0=4 -DPUSH1=0
 *     mutant slice M_NO_LEVEL -DTB=9 -DMARK=9 -DSIZE=1 -DPUSH0=4 -DPUSH1=0
 *     mutant slice M_STOP_HIDES -DTB=9 -DMARK=1 -DSIZE=3 -DPUSH0=3 -DPUSH1=0
 *     mutant slice M_TOLD_FIRST -DTB=1 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     mutant slice M_ONE_TELLS -DTB=1 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     mutant slice M_NOT_CREDITED -DTB=1 -DMARK=9 -DSIZE=9 -DPUSH0=2 -DPUSH1=2
 *     mutant slice M_NO_MEMBARRIER -DCLOSE -DTB=2 -DMARK=1 -DSIZE=2 -DPUSH0=2 -DPUSH1=1
 *     mutant slice M_DEAL_REOPENS -DCLOSE -DTB=2 -DMARK=1 -DSIZE=2 -DPUSH0=2 -DPUSH1=1
 *     mutant slice M_LIMIT_STORE -DCLOSE -DTB=2 -DMARK=1 -DSIZE=2 -DPUSH0=2 -DPUSH1=1
 */
#ifndef PUSH0
#define PUSH0 3
#endif
#ifndef PUSH1
#define PUSH1 3
#endif
#ifndef PUSH2
#define PUSH2 3
#endif
#define NPUSH (me == 0 -> PUSH0 : (me == 1 -> PUSH1 : PUSH2))
#ifndef TB
#define TB 3
#endif
#ifndef TB2
#define TB2 1
#endif
#ifndef SIZE
#define SIZE 3
#endif
#ifndef MARK
#define MARK 2
#endif
#ifndef THREADS
#define THREADS 2
#endif
#define RINGS THREADS

#define FULL 0
#define WATERMARK 1
#define BYTES 2
#define CLOSED 3

byte head[RINGS], seen[RINGS], tail[RINGS], taken[RINGS];
/* limit: {epoch, kind, position}; a stop is one byte behind the position that is credited */
byte l_epoch[RINGS], l_pos[RINGS] = 1;
byte l_kind[RINGS] = BYTES;
byte a_epoch[RINGS];
bool low[RINGS] = 1;
byte pressed[RINGS];
bool bits[RINGS];
bool busy;                /* due is BUSY */
byte epoch;               /* of sum, and with it of bytes */
byte bytes, telling = 255, told = 255;
bool signalled;
bool event, asleep, stopped, shut;
byte tb = TB;             /* the setting */
byte through;
bool inside[THREADS], aborted[THREADS];
byte refused[RINGS];      /* pushes that found the ring full since it was last released */

#define DRAIN(r) seen[r] = head[r]
#define WITHIN(end, pos) ((end) <= (pos))

#ifdef M_TOLD_FIRST
#define TOLD_BEFORE told = mark
#define TOLD_BEHIND skip
#else
#define TOLD_BEFORE skip
#define TOLD_BEHIND told = mark
#endif
#ifdef M_ONE_TELLS
#define MULTIPLE false
#else
#define MULTIPLE (c / tb >= 2 && c / tb != before / tb)
#endif
#ifdef M_STOP_HIDES
#define PASSES_WATERMARK false
#else /* and perhaps a stop before it as well */
#define PASSES_WATERMARK (head[r] + 1 > taken[r] + MARK && taken[r] + MARK >= head[r])
#endif
#ifdef M_LIMIT_STORE
#define UNCHANGED true
#else
#define UNCHANGED (l_epoch[r] == l && l_pos[r] == pos && l_kind[r] == kind)
#endif
#ifdef M_NOT_CREDITED
#define CREDIT(n) skip
#else
#define CREDIT(n) bytes = bytes + n
#endif

proctype Producer(byte me)
{
	byte r = me, pushed, l, pos, kind, next, nkind, t, before, c, mark, a;
	bool counted, pressure, first;

	do
	:: pushed == NPUSH -> break
	:: else ->
section:
		atomic { aborted[me] = 0; inside[me] = 1;
			if
			:: low[r] -> inside[me] = 0; a = a_epoch[r]; goto alarm
			:: !low[r] && !WITHIN(head[r] + 1, l_pos[r]) -> inside[me] = 0; goto limit
			:: else
			fi };
		atomic {
			if
			:: aborted[me] -> inside[me] = 0; goto section
			:: else
			fi;
			inside[me] = 0; head[r]++; pushed++;
			assert(head[r] - tail[r] <= SIZE && !shut) };
after:
		if
		:: counted -> mark = epoch;
			atomic { DRAIN(r); c = bytes; first = 0; counted = 0;
				if
				:: c >= tb && !signalled -> signalled = 1; first = 1 /* unreached TB=9: so many never lie there */
				:: c >= tb && signalled && !MULTIPLE -> mark = 255
				:: c >= tb && signalled && MULTIPLE
				:: else -> mark = 255 /* unreached MARK=1+TB=2: what is counted first is two */
				fi;
				c = 0; before = 0 };
			if
			:: mark == 255
			:: mark != 255 && first -> goto tell_first
			:: mark != 255 && !first -> goto tell
			fi
		:: else
		fi;
pressed_too:
		if
		:: pressure ->
			atomic { DRAIN(r); mark = epoch; pressure = 0 }; /* unreached MARK=9, MARK=2: no push is left to pass it */
			if
			:: busy /* unreached SIZE=1: no watermark */
			:: else -> goto tell_first
			fi
		:: else
		fi;
		mark = 0; first = 0
	od;
	goto end;

tell_first:
	atomic { DRAIN(r); first = 0; /* unreached SIZE=1: only a full ring tells */
		if
		:: telling == mark -> goto pressed_too /* unreached SIZE=1: only a full ring tells */
		:: else -> telling = mark /* unreached SIZE=1: only a full ring tells */
		fi };
tell:
	if
	:: told == mark -> goto told_so
	:: else
	fi;
	if
	:: epoch != mark -> goto told_so
	:: else
	fi;
	if
	:: busy -> goto told_so
	:: else
	fi;
	if
	:: skip
	:: atomic { me == 0 && !stopped -> stopped = 1; goto end }
	fi;
	atomic { DRAIN(r); TOLD_BEFORE };
#ifdef M_TOLD_FIRST
	if
	:: skip
	:: atomic { me == 0 && !stopped -> stopped = 1; goto end }
	fi;
#endif
	event = 1;
	atomic { DRAIN(r); TOLD_BEHIND };
told_so:
	atomic { mark = 0;
		if
		:: pushed == NPUSH && !pressure -> goto end
		:: pressure -> goto pressed_too
		:: else -> goto section
		fi };

alarm:
	atomic { DRAIN(r); bits[r] = 1 };
	atomic { DRAIN(r);
		if
		:: a_epoch[r] == a -> low[r] = 0
		:: else
		fi;
		a = 0;
		goto section };

limit: /* wr_wake_limit() */
	atomic { l = l_epoch[r]; pos = l_pos[r]; kind = l_kind[r];
		if
		:: kind == CLOSED -> l = 0; pos = 0; kind = 0; pushed = NPUSH; goto after /* unreached !CLOSE: nobody closes */
		:: else
		fi };
	t = tail[r];
	if
	:: head[r] + 1 > t + SIZE ->
		atomic { DRAIN(r); pushed++; refused[r] = refused[r] + (head[r] + 1 > tail[r] + SIZE); first = (pressed[r] <= 2); pressed[r]++; /* unreached PUSH0=2: never full */
			l = 0; pos = 0; kind = 0; t = 0 }; /* unreached PUSH0=2: never full */
		if
		:: first -> first = 0;
			atomic { DRAIN(r); bits[r] = 1 }; /* unreached PUSH0=2: never full */
			mark = epoch; /* unreached PUSH0=2: never full */
			if
			:: busy -> mark = 0; goto after /* unreached PUSH0=2: never full */
			:: else -> goto tell
			fi
		:: else -> goto after
		fi
	:: else
	fi;
	if
	:: WITHIN(head[r] + 1, pos) -> atomic { l = 0; pos = 0; kind = 0; t = 0; goto section }
	:: else
	fi;
	atomic { next = t + SIZE; nkind = FULL; first = busy; t = 0;
		if
		:: !busy ->
			if
			:: kind != WATERMARK && taken[r] + MARK >= head[r] + 1 && next > taken[r] + MARK ->
				next = taken[r] + MARK; nkind = WATERMARK /* unreached MARK=1, MARK=2, MARK=9: never the nearest */
			:: else
			fi;
			if
			:: next > head[r] + 2 -> next = head[r] + 2; nkind = BYTES /* unreached MARK=1, MARK=2, SIZE=1: never the nearest */
			:: else
			fi
		:: else
		fi };
	atomic { DRAIN(r);
		if
		:: UNCHANGED -> l_pos[r] = next; l_kind[r] = nkind
		:: else -> first = 1
		fi;
		next = 0; nkind = 0; l = 0 };
moved:
	if
	:: first -> atomic { first = 0; pos = 0; kind = 0; goto section }
	:: else
	fi;
	atomic { DRAIN(r);
		if
		:: kind == BYTES -> c = bytes; CREDIT(head[r] + 1 - (pos - 1));
			if
			:: !counted -> before = c
			:: else
			fi;
			counted = 1; c = 0
		:: else
		fi;
		pos = 0 };
	atomic {
		if
		:: kind == WATERMARK || PASSES_WATERMARK -> pressure = 1
		:: else
		fi;
		kind = 0;
		goto section };
end:
	through++
}

proctype StoreBuffer(byte r)
{
end_buffer:
	do
	:: atomic { seen[r] < head[r] -> seen[r]++ }
	od
} /* unreached: it has no end */

#ifdef M_NO_MEMBARRIER
#define MEMBARRIER skip
#else
#define ABORT(t) if :: inside[t] -> aborted[t] = 1 :: else fi
#if THREADS == 2
#define MEMBARRIER DRAIN(0); ABORT(0); DRAIN(1); ABORT(1)
#else
#define MEMBARRIER DRAIN(0); ABORT(0); DRAIN(1); ABORT(1); DRAIN(2); ABORT(2)
#endif
#endif
#ifdef M_DEAL_REOPENS
#define NOT_SHUT true
#else
#define NOT_SHUT (l_kind[i] != CLOSED)
#endif
#ifdef M_NO_LEVEL
#define LEVEL false
#else
#define LEVEL (total >= tb || fullest >= MARK || full_ring)
#endif

proctype Flusher()
{
	byte i, h, total, fullest, next, nkind;
	bool kept[RINGS], full_ring;

sleep:
	asleep = 1;
end_wait:
	atomic { event -> event = 0; asleep = 0 };
work:
	busy = 1;
#ifdef CHANGE
	if
	:: skip
	:: tb = TB2
	fi;
#endif
cut:
	atomic { total = 0; fullest = 0; full_ring = 0; i = 0 };
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: bits[i] || kept[i] ->
			atomic { h = seen[i] - taken[i]; total = total + h;
				if
				:: h > fullest -> fullest = h
				:: else
				fi;
				kept[i] = 1 };
			if
			:: h && pressed[i] -> full_ring = 1 /* unreached PUSH0=2: never full */
			:: else
			fi
		:: else
		fi;
		atomic { h = 0; i++ }
	od;
	i = 0;
	if
	:: total && (total >= tb || fullest >= MARK || full_ring) -> goto release
	:: else
	fi;
S2:
	atomic { epoch++; bytes = 0; signalled = 0; total = 0; fullest = 0; full_ring = 0 };
	busy = 0;
S3:
	do
	:: i == RINGS -> break
	:: else ->
		atomic { kept[i] = kept[i] | bits[i]; bits[i] = 0 };
		if
		:: kept[i] ->
			h = seen[i];
			atomic { a_epoch[i]++; low[i] = 1 };
			atomic { bytes = bytes + h - taken[i] };
			atomic { next = tail[i] + SIZE; nkind = FULL;
				if
				:: next > taken[i] + MARK -> next = taken[i] + MARK; nkind = WATERMARK /* unreached MARK=2, MARK=9: never the nearest */
				:: else
				fi;
				if
				:: next > h + 1 -> next = h + 1; nkind = BYTES /* unreached MARK=1, SIZE=1: never the nearest */
				:: else
				fi;
				if
				:: NOT_SHUT -> l_epoch[i] = epoch; l_pos[i] = next; l_kind[i] = nkind
				:: else
				fi;
				next = 0; nkind = 0 }
		:: else
		fi;
		atomic { h = 0; i++ }
	od;
S4:
	atomic { MEMBARRIER; i = 0 };
S6:
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: bits[i] || kept[i] ->
			atomic { h = seen[i] - taken[i]; total = total + h;
				if
				:: h > fullest -> fullest = h
				:: else
				fi;
				kept[i] = (h != 0) };
			if
			:: h && pressed[i] -> full_ring = 1 /* unreached PUSH0=2, MARK=3, CLOSE: never full by then */
			:: else
			fi
		:: else
		fi;
		atomic { h = 0; i++ }
	od;
	i = 0;
	if
	:: total && LEVEL -> atomic { total = 0; fullest = 0; full_ring = 0; goto work } /* unreached MARK=3: one push is left by then */
	:: else -> atomic { total = 0; fullest = 0; full_ring = 0; goto sleep }
	fi;
release:
	atomic { total = 0; fullest = 0; full_ring = 0 };
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: kept[i] && seen[i] != taken[i] ->
			taken[i] = seen[i];
#ifdef M_PRESSED_BEHIND_TAIL
			atomic { tail[i] = taken[i]; refused[i] = 0 };
			pressed[i] = 0
#else
			pressed[i] = 0;
			atomic { tail[i] = taken[i]; refused[i] = 0 }
#endif
		:: else
		fi;
		i++
	od;
	atomic { i = 0; goto cut }
} /* unreached: it has no end */

#ifdef CLOSE
proctype Closer()
{
	byte i;

	do
	:: i == RINGS -> break
	:: else -> atomic { l_kind[i] = CLOSED; l_pos[i] = 0; i++ }
	od;
	atomic { MEMBARRIER; shut = 1 }
}
#endif

/* Nobody can go on any more. Who stopped on the way to the event is made up for by others. */
#define LEFT(r) (head[r] - taken[r])
#if THREADS == 2
#define ALL_LEFT (LEFT(0) + LEFT(1))
#else
#define ALL_LEFT (LEFT(0) + LEFT(1) + LEFT(2))
#endif
proctype Judge()
{
	byte i;

end_judge:
	timeout -> assert(through == THREADS && asleep && !event);
	assert(ALL_LEFT < (stopped -> 2 : 1) * tb + RINGS);
	do
	:: i == RINGS -> break
	:: else -> assert(stopped || (LEFT(i) <= MARK && refused[i] == 0));
		assert(refused[i] < 2 || LEFT(i) == 0);
		i++
	od
}

init {
	atomic {
		run Producer(0);
		run StoreBuffer(0);
		run Producer(1);
		run StoreBuffer(1);
#if THREADS > 2
		run Producer(2);
		run StoreBuffer(2);
#endif
#ifdef CLOSE
		run Closer();
#endif
		run Judge();
		run Flusher()
	}
}
