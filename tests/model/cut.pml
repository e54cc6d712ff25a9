/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut.pml - the order of a cut: three threads that change rings as they like, while the flusher
 * reads one head after the other, closes the cut under its marks and brings it into an order.
 *
 * It models engine/ring/mark.c (labels mark, put), claims and places of a fallback ring that are
 * reserved first and end later (end, END_CLAIM), and engine/flush/order.c with the walk of walk.c
 * (make .. take). Ring 2 is a fallback ring. Thread 2 only gets in the way there, unless ANYWHERE.
 * CLAIM: thread 0's second record is a claim, which it ends or aborts whenever it likes, or only
 * when everything else is pushed. Signal handlers are left to cut.py.
 *
 * A head is a count here, a word of three bits that wraps, compared as the engine compares its
 * words of 32. A process may be held up for ever at any step: every state in which the others have
 * gone on is searched. The scan of a ring is one step, since a record goes from open to ended once.
 *
 *     rec     1 + 4 * thread + number;  state: OPEN, COMMITTED, ABORTED
 *     from    1 + the ring that the record's mark names, 0: no mark;  at: its head when it was read
 *
 * Promised: the records of each thread go out in the order in which they were pushed; marks never
 * form a cycle; at the end nothing is left. LIVE: closing a cut comes to an end.
 *
 *     run slice -DPUSH0=2 -DPUSH1=1 -DPUSH2=1
 *     run full -DCLAIM -DPUSH0=3 -DPUSH1=0 -DPUSH2=0
 *     run full -DPUSH0=2 -DPUSH1=2 -DPUSH2=0
 *     live full -DPUSH0=2 -DPUSH1=1 -DPUSH2=1
 *     run soak -DCLAIM -DPUSH0=3 -DPUSH1=1 -DPUSH2=0
 *     run soak -DPUSH0=2 -DPUSH1=2 -DPUSH2=1
 *     mutant slice M_NO_MARKS
 *     mutant slice M_NO_CLOSURE
 *     mutant slice M_NO_RETRACTION
 *     mutant slice M_EMIT_ANY
 *     mutant slice M_ONE_PASS -DPUSH2=0
 *     mutant full M_MARK_SHORT
 *     mutant full M_ABORTED_MARK -DCLAIM -DPUSH0=3 -DPUSH1=0 -DPUSH2=0
 *     mutant-live soak M_RETRACT_AGAIN
 */
#ifndef PUSH0
#define PUSH0 2
#endif
#ifndef PUSH1
#define PUSH1 2
#endif
#ifndef PUSH2
#define PUSH2 1
#endif
#define THREADS 3
#define RINGS 3
#define FALLBACK 2
#define SLOTS 4
#define START 6
#define WRAP(n) ((n) & 7)
#define SLOT(r, n) ((r) * SLOTS + (n) % SLOTS)

#define OPEN 0
#define COMMITTED 1
#define ABORTED 2

byte head[RINGS] = START, taken[RINGS] = START;
byte rec[RINGS * SLOTS], state[RINGS * SLOTS], from[RINGS * SLOTS], at[RINGS * SLOTS];
bool fresh;             /* something has changed since the last cut began */
byte through;
byte next[THREADS];     /* the number that the thread's next record has, or a higher one */

#define MOST (me == 0 -> PUSH0 : (me == 1 -> PUSH1 : PUSH2))
#define HAS_ROOM(r) (WRAP(head[r] - taken[r]) < SLOTS)
#ifdef M_NO_MARKS
#define NAMED 0
#else
#define NAMED last
#endif
#ifdef CLAIM
#define CLAIMS (me == 0)
#else
#define CLAIMS false
#endif
/* Ended, or aborted. */
#define END_CLAIM \
	if \
	:: state[claim - 1] = COMMITTED \
	:: state[claim - 1] = ABORTED \
	fi; \
	claim = 0; fresh = 1
#ifdef ANYWHERE
#define GOES_ANYWHERE true
#else
#define GOES_ANYWHERE (me != 2)
#endif
#ifdef M_MARK_SHORT
#define BEHIND(count) WRAP((count) - 1)
#else
#define BEHIND(count) (count)
#endif

proctype Producer(byte me)
{
	byte number, last, r, named, h, slot, claim;

more:
	do
	:: number == MOST -> break
	:: atomic { number != MOST ->
		if
		:: HAS_ROOM(0) && GOES_ANYWHERE -> r = 0
		:: HAS_ROOM(1) && GOES_ANYWHERE -> r = 1
		:: HAS_ROOM(2) -> r = 2
		fi;
		if
		:: last != 0 && last != 1 + r && NAMED != 0 -> /* wr_mark_begin() */
			named = NAMED; h = BEHIND(head[named - 1])
		:: else -> goto put
		fi };
put:		atomic { HAS_ROOM(r);
			slot = SLOT(r, head[r]); head[r] = WRAP(head[r] + 1);
			rec[slot] = 1 + 4 * me + number; from[slot] = named; at[slot] = h;
			last = 1 + r; named = 0; h = 0; number++; fresh = 1;
			if
#ifdef CLAIM
			:: CLAIMS && number == 2 -> claim = 1 + slot; slot = 0; r = 0
#endif
			:: !(CLAIMS && number == 2) && r != FALLBACK -> r = 0;
				state[slot] = COMMITTED; slot = 0
			:: !(CLAIMS && number == 2) && r == FALLBACK -> r = 0; goto end
			fi;
			goto more };
end:		atomic { state[slot] = COMMITTED; slot = 0; fresh = 1; goto more }
#ifdef CLAIM
	:: atomic { claim != 0 -> END_CLAIM }
#endif
	od;
#ifdef CLAIM
	if
	:: atomic { claim != 0 -> END_CLAIM }
	:: claim == 0
	fi;
#endif
	atomic { last = 0; number = 0; through++ }
}

/* How far ring r can be taken, at most up to count to: wr_cut_scan(). */
#define SCAN(r, to) \
	do \
	:: blocked[r] || cut[r] == to -> break \
	:: !blocked[r] && cut[r] != to && state[SLOT(r, cut[r])] == OPEN -> blocked[r] = 1 \
	:: !blocked[r] && cut[r] != to && state[SLOT(r, cut[r])] != OPEN -> \
		cut[r] = WRAP(cut[r] + 1) \
	od

#ifdef M_ABORTED_MARK
#define HAS_MARK(s) (from[s] != 0 && state[s] != ABORTED)
#else
#define HAS_MARK(s) (from[s] != 0)
#endif
#define IN_FUTURE (missing != 0 && missing <= WRAP(head[f] - cut[f]))
#ifdef M_NO_RETRACTION
#define RETRACT skip
#elif defined(M_RETRACT_AGAIN)
#define RETRACT cut[i] = n; changed = 1
#else
#define RETRACT cut[i] = n; blocked[i] = 1; changed = 1
#endif
#ifdef M_ONE_PASS
#define AND_AGAIN false
#else
#define AND_AGAIN changed
#endif
#ifdef M_EMIT_ANY
#define IS_SATISFIED true
#else
#define IS_SATISFIED (missing == 0 || missing > WRAP(cut[f] - sent[f]))
#endif

proctype Flusher()
{
	byte i, n, f, missing, h, cut[RINGS], sent[RINGS];
	bool blocked[RINGS], changed, some, left;

wait:
end_wait:
	atomic { fresh -> fresh = 0; goto make };
make:
	do
	:: i == RINGS -> break
	:: else ->
		atomic { h = head[i]; cut[i] = taken[i]; SCAN(i, h);
			if
			:: blocked[i]
			:: else -> goto next_ring
			fi };
		atomic { blocked[i] = 0; SCAN(i, h); /* later, and what was open may have ended */
next_ring:		h = 0; i++ }
	od;
	i = 0;
#ifndef M_NO_CLOSURE
close:
	skip;
	atomic {
		do
		:: i == RINGS -> i = 0;
			if
			:: AND_AGAIN -> changed = 0; goto close
			:: else -> changed = 0; break
			fi
		:: i != RINGS -> n = taken[i];
			do /* close_ring() */
			:: n == cut[i] -> break
			:: else -> f = SLOT(i, n); h = at[f];
				if
				:: HAS_MARK(f) -> some = 1; f = from[f] - 1;
					missing = WRAP(h - cut[f]);
					if
					:: IN_FUTURE ->
						SCAN(f, h);
						if
						:: cut[f] == h -> changed = 1
						:: else -> RETRACT; break
						fi
					:: else
					fi
				:: else
				fi;
				n = WRAP(n + 1)
			od;
			f = 0; h = 0; missing = 0; n = 0; i++;
			if
			:: some -> some = 0; goto close
			:: else
			fi
		od };
#endif
take:
	atomic {
		sent[0] = taken[0]; sent[1] = taken[1]; sent[2] = taken[2];
		do
		:: i == RINGS -> i = 0;
			if
			:: left -> assert(changed); left = 0; changed = 0
			:: else -> break
			fi
		:: i != RINGS && sent[i] == cut[i] -> i++
		:: else -> n = SLOT(i, sent[i]);
			f = (HAS_MARK(n) -> from[n] : 0);
			if
			:: f != 0 -> f--; missing = WRAP(at[n] - sent[f])
			:: else
			fi;
			if
			:: IS_SATISFIED ->
				assert(state[n] != OPEN);
				if
				:: state[n] == COMMITTED -> h = rec[n] - 1;
					assert(h % 4 >= next[h / 4]);
					next[h / 4] = h % 4 + 1
#ifdef CLAIM
				:: state[n] == ABORTED
#endif
				fi;
				sent[i] = WRAP(sent[i] + 1); changed = 1
			:: else -> left = 1; i++
			fi;
			f = 0; h = 0; missing = 0; n = 0
		od;
		changed = 0;
		do
		:: i == RINGS -> break
		:: else ->
			do
			:: taken[i] == cut[i] -> break
			:: else -> n = SLOT(i, taken[i]);
				rec[n] = 0; state[n] = 0; from[n] = 0; at[n] = 0;
				taken[i] = WRAP(taken[i] + 1); n = 0
			od;
			cut[i] = 0; sent[i] = 0; blocked[i] = 0; i++
		od;
		i = 0; goto wait }
} /* unreached: it never ends */

/* Nobody can go on any more: everything has gone out. */
proctype Judge()
{
end_judge:
	timeout -> assert(through == THREADS && head[0] == taken[0] && head[1] == taken[1] &&
		head[2] == taken[2])
}

init {
	atomic {
		run Producer(0);
		run Producer(1);
		run Producer(2);
		run Flusher();
		run Judge()
	}
}
