/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fallback.pml - the fallback ring: reserve, cover, copy, commit; and a producer that stalls or dies
 * at any step of it.
 *
 * It models engine/ring/fallback.c and engine/api/reserve.c (labels reserve .. kick), with the slow
 * path of engine/flush/wake.c (step1 .. step6) and limit.c; the flusher is engine/flush/walk.c (cut),
 * release.c (release) and sleep.c (S1 .. S6, arm); Closer is engine/api/close.c. One atomic step per
 * access to a shared word. Nothing here is a plain store that another CPU could see late, but for
 * the mutant that makes one of the flusher's.
 *
 * A producer that is dead is one that makes no further step: every state in which the others have
 * gone on without it is searched, so that no process has to be killed by name.
 *
 *     due     0 BUSY, 1 INF, else 2 * (32 * seq + time) + confirmed
 *     hdr     of a slot: 0 open, WAITED open and the flusher wants to hear of it, COMMITTED, ABORTED
 *
 * Promised: whenever the flusher waits without timer and event, no record can be taken from any
 * ring, but for those whose commit has found WAITED and whose owner is about to write the event: a
 * thread that stops there is as if it had stopped before its commit. Nothing is delivered twice, torn
 * or out of a thread's order, no slot is used again before it was released. When all producers are
 * through, a reached threshold is signalled. After close accepted = delivered + dropped, with the
 * answers that the pushes have given: of a ring that was left behind with an open place in it, what
 * was dropped is what it held less what was given up, before or after. No run goes on for ever: LIVE.
 *
 *     run slice -DPUSH2=0 -DSLOTS=1
 *     live full -DPUSH2=0 -DSLOTS=1
 *     run full -DSLOTS=1 -DCMAX=0
 *     run full -DCLOSE -DPUSH2=0 -DSLOTS=1 -DCMAX=0
 *     run soak -DRINGS=2 -DSLOTS=1 -DPUSH0=2 -DPUSH1=0 -DCMAX=0
 *     run soak -DPUSH2=0 -DSLOTS=2
 *     run soak -DCLOSE -DPUSH2=0 -DSLOTS=2 -DCMAX=0
 *     mutant slice M_COMMIT_FIRST -DPUSH2=0
 *     mutant slice M_COMMIT_BEFORE_COPY -DPUSH2=0
 *     mutant slice M_FORGET_WAITED -DPUSH2=0
 *     mutant slice M_WAITED_STORE -DPUSH2=0
 *     mutant slice M_NO_WAITED -DPUSH2=0
 *     mutant slice M_NO_RECHECK -DPUSH2=0
 *     mutant slice M_PASS_OPEN -DPUSH2=0
 *     mutant slice M_ZERO_LATE -DPUSH2=0 -DPUSH1=2 -DSLOTS=1
 *     mutant slice M_BOOK_BLIND -DCLOSE -DPUSH2=0 -DCMAX=0
 *     mutant slice M_TAKEN_TWICE -DCLOSE -DPUSH2=0 -DCMAX=0
 *     mutant full M_ALARM_FIRST -DPUSH2=0
 *     mutant full M_ALARM_SEEN_LATE -DPUSH2=0
 *     mutant full M_NOT_FREED -DTHR=3 -DSLOTS=4 -DPUSH1=2 -DCMAX=0
 */
#ifndef RINGS
#define RINGS 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef PUSH0
#define PUSH0 1
#endif
#ifndef PUSH1
#define PUSH1 1
#endif
#ifndef PUSH2
#define PUSH2 1
#endif
#ifndef THR
#define THR 2
#endif
#ifndef CMAX
#define CMAX 1
#endif
#define THREADS 3
#define FAR 8 /* the stride while the flusher is busy: nothing needs to be counted then */

#define BUSY 0
#define INF 1
#define IS_TIME(d) ((d) > 1)
#define CONFIRMED(d) ((d) & 1)
#define TIME(d) (((d) / 2) % 32)
#define PUBLISHED(time) (2 * (32 * seq + (time)))

#define OPEN 0
#define WAITED 1
#define COMMITTED 2
#define ABORTED 3
#define IS_OPEN(header) ((header) <= WAITED)
#define SLOT(r, n) ((r) * SLOTS + (n) % SLOTS)

/* Counts of records; every record takes one slot. */
byte head[RINGS], lim[RINGS] = SLOTS, tail[RINGS];
bool closed[RINGS];     /* a bit of head */
bool lim_closed[RINGS]; /* the kind of limit */
byte hdr[RINGS * SLOTS], what[RINGS * SLOTS];
byte a_epoch[RINGS], a_trip[RINGS] = 1, a_base[RINGS];
bool bits[RINGS], pressed[RINGS];
short due = INF;
byte seq, clock, timer;
bool event;
byte sum_epoch, sum;
bool signalled;
bool asleep, closing, shutdown, late, ended;

byte dealt_at[RINGS];   /* the flusher's, while it lowers an alarm */
byte taken[RINGS];      /* the flusher's, and read by the assertions */
byte through;           /* producers that have pushed everything */
byte fired;              /* how often the timer has gone off amid pushes */
byte owed;              /* commits that found WAITED and have not written the event yet */
byte accepted, delivered, dropped;
byte not_taken;         /* answers that were not 0 */
byte given_up[RINGS];   /* claims begun and not committed, as the engine counts them */
byte passed_by[RINGS];  /* of these the flusher has taken */
byte lost[RINGS];       /* places left behind where one was open, with those above */
byte expected[THREADS]; /* number of the thread's next record to be delivered */

#define COVERED (timer != 0 || event)
#define STATE(r, n) hdr[SLOT(r, taken[r] + n)]
#define FREE_AT(r) ((taken[r] != head[r] && STATE(r, 0) == COMMITTED) || \
	(head[r] - taken[r] > 1 && STATE(r, 0) == ABORTED && STATE(r, 1) == COMMITTED))
#define LOST(r) (lost[r] != 0 -> lost[r] - given_up[r] : 0)
#if RINGS == 1
#define PLACES (head[0] - given_up[0])
#define ALL_LOST LOST(0)
#define CAN_BE_TAKEN (FREE_AT(0))
#define DRAINED (head[0] == taken[0])
#else
#define PLACES (head[0] - given_up[0] + head[1] - given_up[1])
#define ALL_LOST (LOST(0) + LOST(1))
#define CAN_BE_TAKEN (FREE_AT(0) || FREE_AT(1))
#define DRAINED (head[0] == taken[0] && head[1] == taken[1])
#endif
#define LEFT (accepted - delivered - dropped)
#define NOTHING_STRANDED (!asleep || COVERED || !CAN_BE_TAKEN || owed != 0)

#ifdef M_COMMIT_FIRST
#define COVER_FIRST false
#define BACK after
#define FORGET_ALARM skip
#define FORGET_PLACE slot = 0
#else
#define COVER_FIRST true
#define BACK alarm
#define FORGET_ALARM epoch = 0; trip = 0; base = 0
#ifdef M_COMMIT_BEFORE_COPY
#define FORGET_PLACE skip
#else
#define FORGET_PLACE slot = 0; h = 0
#endif
#endif
#ifdef M_FORGET_WAITED
#define FOUND_WAITED false
#else
#define FOUND_WAITED (hdr[slot] == WAITED)
#endif

proctype Producer(byte me; byte r; byte most)
{
	byte pushed, number, h, epoch, trip, base, gained, of_epoch, slot;
	bool credited, redo, waited;
	short d;

	do
	:: pushed == most -> break
	:: else ->
#ifdef M_ALARM_FIRST
alarm:
reserve:
		atomic { epoch = a_epoch[r]; trip = a_trip[r]; base = a_base[r] };
#else
reserve:
#endif
		atomic { h = head[r]; if :: closed[r] -> goto refused :: else fi };
		if
		:: lim[r] < h + 1 -> goto limit
		:: else
		fi;
		atomic {
			if
			:: head[r] == h && !closed[r] -> head[r]++; slot = SLOT(r, h);
				assert(head[r] - tail[r] <= SLOTS)
			:: else -> goto reserve
			fi
		};
#ifndef M_ALARM_FIRST
alarm:
		atomic { epoch = a_epoch[r]; trip = a_trip[r]; base = a_base[r] };
#endif
		if
		:: COVER_FIRST && h + 1 >= trip -> goto enter
		:: else
		fi;
#ifndef M_COMMIT_BEFORE_COPY
copy:
		atomic { FORGET_ALARM; what[slot] = 1 + 4 * me + number };
#endif
commit:
		atomic {
			waited = FOUND_WAITED; hdr[slot] = COMMITTED;
			owed = owed + waited; FORGET_PLACE;
			number++; pushed++; accepted++;
			assert(NOTHING_STRANDED)
		};
#ifdef M_COMMIT_BEFORE_COPY
		atomic { FORGET_ALARM; what[slot] = 4 * me + number; slot = 0; h = 0 };
#endif
#ifdef M_COMMIT_FIRST
		if
		:: h + 1 >= trip -> goto enter
		:: else
		fi;
#endif
after:
		if
		:: credited ->
			atomic { credited = 0;
				if
				:: sum >= THR && !signalled -> signalled = 1; d = 2 + sum_epoch
				:: else
				fi };
			if
			:: d >= 2 -> atomic {
				if
				:: due == BUSY || sum_epoch != d - 2
				:: else -> event = 1
				fi;
				d = 0 }
			:: else
			fi
		:: else
		fi;
kick:
		if
		:: waited -> atomic { event = 1; owed--; waited = 0 }
		:: else
		fi
	od;
	goto end;

limit:
	atomic { h = 0; /* unreached SLOTS=2+!CLOSE: never full */
		if
		:: lim_closed[r] -> goto refused
		:: else
		fi };
	if
	:: head[r] + 1 > tail[r] + SLOTS -> /* no room */ /* unreached SLOTS=2: never full */
		atomic { pushed++; not_taken++; /* unreached SLOTS=2: never full */
			if
			:: pressed[r] -> goto next /* unreached SLOTS=2: never full */
			:: else -> pressed[r] = 1 /* unreached SLOTS=2: never full */
			fi };
		bits[r] = 1; /* unreached SLOTS=2: never full */
		of_epoch = sum_epoch; /* unreached SLOTS=2: never full */
		atomic {
			if
			:: due != BUSY && sum_epoch == of_epoch -> event = 1
			:: else
			fi;
			of_epoch = 0 };
next:		skip
	:: else -> atomic {
		if
		:: !lim_closed[r] && lim[r] < tail[r] + SLOTS -> lim[r] = tail[r] + SLOTS
		:: else
		fi }
	fi;
	if
	:: pushed == most -> goto end
	:: else -> goto reserve
	fi;

enter: /* and count in: life.pml */
	if
	:: closing -> goto give_place_up
	:: else
	fi;
step1:
	bits[r] = 1;
step3:
	of_epoch = sum_epoch;
	d = due;
	if
	:: d == BUSY -> goto step5
	:: d == INF ->
		atomic {
			if
			:: due == d -> clock++; seq++; due = PUBLISHED(clock); d = due
			:: else -> goto step3
			fi
		}
	:: else ->
		if
		:: CONFIRMED(d) && !redo -> goto step5
		:: else
		fi
	fi;
	timer = TIME(d);
	atomic {
		if
		:: due == d -> due = d | 1
		:: due == (d | 1)
		:: else -> redo = 1; goto step3
		fi
	};
step5:
	atomic { redo = 0;
		if
		:: a_epoch[r] == epoch && a_trip[r] == trip ->
			gained = h + 1 - base; a_base[r] = h + 1;
			a_trip[r] = h + 1 + (d == BUSY -> FAR : 1)
		:: else -> gained = 0; of_epoch = 0; d = 0; goto BACK
		fi
	};
step6:
	atomic {
		if
		:: d != BUSY && sum_epoch == of_epoch -> sum = sum + gained; credited = 1
		:: else
		fi;
		gained = 0; of_epoch = 0; d = 0;
		goto BACK
	};

give_place_up:
	given_up[r]++; /* unreached !CLOSE: nobody closes */
	atomic { epoch = 0; trip = 0; base = 0; /* unreached !CLOSE: nobody closes */
		waited = FOUND_WAITED; hdr[slot] = ABORTED; owed = owed + waited; /* unreached !CLOSE: nobody closes */
		slot = 0; assert(NOTHING_STRANDED) }; /* unreached !CLOSE: nobody closes */
	if
	:: waited -> atomic { event = 1; owed--; waited = 0 } /* unreached !CLOSE: nobody closes */
	:: else
	fi;
refused: /* others' records may have been credited */
	atomic { h = 0; not_taken++; pushed++; goto after }; /* unreached !CLOSE: nobody closes */
end:
	atomic {
		through++;
		assert(!(through == THREADS && asleep && !ended && LEFT >= THR && CAN_BE_TAKEN) || event)
	}
}

#ifdef M_PASS_OPEN
#define STOPS_AT(header) false
#else
#define STOPS_AT(header) IS_OPEN(header)
#endif
#ifdef M_NO_RECHECK
#define READ_HEAD(i) (sleeping -> dealt[i] : head[i])
#else
#define READ_HEAD(i) head[i]
#endif

/* The cut, as wr_cut_make() leaves it: cutto, blocked, total. */
#define MAKE_CUT \
	i = 0; total = 0; brim = 0; any_blocked = 0; \
	do \
	:: i == RINGS -> break \
	:: else -> \
		atomic { cutto[i] = taken[i]; blocked[i] = 0; \
			if \
			:: bits[i] || kept[i] -> c = READ_HEAD(i) \
			:: else -> c = taken[i] \
			fi }; \
		do \
		:: cutto[i] == c -> break \
		:: else -> atomic { \
			if \
			:: STOPS_AT(hdr[SLOT(i, cutto[i])]) -> blocked[i] = 1; any_blocked = 1; \
				break \
			:: else -> total = total + (hdr[SLOT(i, cutto[i])] == COMMITTED); \
				cutto[i]++; some = 1 \
			fi } \
		od; \
		if \
		:: cutto[i] != taken[i] -> brim = brim | pressed[i] \
		:: else \
		fi; \
		atomic { i++; c = 0 } \
	od; \
	atomic { i = 0 }

/* Does a trigger hold? Whether the deadline has passed is left open until it has. */
#define DECIDE \
	yes = 0; \
	if \
	:: !some \
	:: some && (total >= THR || brim || shutdown || (keep != 0 && keep <= passed)) -> yes = 1 \
	:: some && keep > passed -> passed = keep; yes = 1 \
	:: some && !(total >= THR || brim || shutdown || (keep != 0 && keep <= passed)) \
	fi

#define LOWER_NOW(i) a_epoch[i]++; a_trip[i] = dealt_at[i] + 1; a_base[i] = dealt_at[i]
#ifdef M_ALARM_SEEN_LATE
/* A plain store: the others see it some time after the heads were read. */
bool lowering[RINGS];
#define LOWER_ALARM atomic { dealt_at[i] = dealt[i]; lowering[i] = 1 }
active proctype StoreBuffer()
{
end_buffer:
	do
	:: atomic { lowering[0] -> lowering[0] = 0; LOWER_NOW(0) }
	od
}
#else
#define LOWER_ALARM atomic { dealt_at[i] = dealt[i]; LOWER_NOW(i); dealt_at[i] = 0 }
#endif
#ifdef M_NO_RECHECK
#define LOOK_AGAIN false
#else
#define LOOK_AGAIN true
#endif
#ifdef M_NOT_FREED
#define FREED false
#else
#define FREED (in_set[i] && !blocked[i] && credited[i] != dealt[i])
#endif
#ifdef M_WAITED_STORE
#define STILL_OPEN true
#else
#define STILL_OPEN IS_OPEN(hdr[SLOT(i, cutto[i])])
#endif
#ifdef M_NO_WAITED
#define ASK_TO_BE_WOKEN skip
#else
#define ASK_TO_BE_WOKEN hdr[SLOT(i, cutto[i])] = WAITED
#endif
#if defined(M_BOOK_BLIND) /* once and for all: who gives its place up later is not heard of */
#define LEAVE_BEHIND dropped = dropped + head[i] - taken[i] + passed_by[i] - given_up[i]
#elif defined(M_TAKEN_TWICE)
#define LEAVE_BEHIND lost[i] = head[i] - taken[i]
#else
#define LEAVE_BEHIND lost[i] = head[i] - taken[i] + passed_by[i]
#endif

proctype Flusher()
{
	byte i, c, total, keep, passed, cutto[RINGS], dealt[RINGS], credited[RINGS];
	bool blocked[RINGS], kept[RINGS], in_set[RINGS];
	bool sleeping, brim, any_blocked, some, yes, may_be_set, timer_seen, again;
	short d;

sleep:
	atomic { asleep = 1; assert(NOTHING_STRANDED) };
	if /* is_over() */
	:: shutdown && (late || DRAINED) -> goto over
	:: else
	fi;
end_wait:
	if
	:: atomic { event -> asleep = 0; event = 0 }
	:: atomic { timer != 0 && (fired < CMAX || through == THREADS) ->
		fired = fired + (through != THREADS); asleep = 0; timer_seen = 1; c = timer; timer = 0; d = due;
		if
		:: passed < c -> passed = c
		:: else
		fi;
		c = 0 };
		/* is_stale_timer() */
		if
		:: d == INF -> atomic { timer_seen = 0; d = 0; goto sleep }
		:: IS_TIME(d) && TIME(d) > passed ->
			if
			:: passed = TIME(d) /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
			:: timer_seen = 0; goto arm
			fi
		:: else
		fi
	fi;
busy:
	atomic { d = due; due = BUSY;
		if
		:: IS_TIME(d) ->
			if
			:: keep == 0 || TIME(d) < keep -> keep = TIME(d)
			:: else
			fi;
			if
			:: CONFIRMED(d) && timer_seen && TIME(d) <= passed
			:: else -> may_be_set = 1
			fi
		:: else
		fi;
		d = 0; timer_seen = 0 };
cut:
	some = 0;
	MAKE_CUT;
	atomic { DECIDE; some = 0 };
	if
	:: yes -> goto release
	:: else
	fi;
S1:
	if
	:: may_be_set -> atomic { timer = 0; may_be_set = 0 }
	:: else
	fi;
S2:
	atomic { sum_epoch++; sum = 0; signalled = 0 };
	due = INF;
S3:
	do
	:: i == RINGS -> break
	:: else ->
		atomic { in_set[i] = bits[i] | kept[i]; bits[i] = 0; kept[i] = 0 };
		if
		:: in_set[i] ->
			dealt[i] = head[i];
			LOWER_ALARM;
			atomic { credited[i] = (blocked[i] -> cutto[i] : dealt[i]);
				sum = sum + credited[i] - taken[i] };
			atomic {
				if
				:: !lim_closed[i] -> lim[i] = tail[i] + SLOTS
				:: else
				fi }
		:: else
		fi;
		i++
	od;
	i = 0;
S5:
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: in_set[i] && head[i] != dealt[i] && LOOK_AGAIN ->
			c = head[i]; /* unreached CLOSE: it wakes for the full ring or the end */
			atomic {
				if
				:: a_base[i] == dealt[i] && a_trip[i] == dealt[i] + 1 ->
					a_base[i] = c; a_trip[i] = c + 1; yes = 1 /* unreached CLOSE: it wakes for the full ring or the end */
				:: else
				fi };
			if
			:: yes -> atomic { sum = sum + c - dealt[i]; yes = 0 }
			:: else
			fi;
			c = 0
		:: else
		fi;
		atomic { kept[i] = kept[i] | in_set[i]; i++ }
	od;
S6:
	atomic { again = 0; some = 0; sleeping = 1 };
	MAKE_CUT;
	do /* credit_freed() */
	:: i == RINGS -> break
	:: else ->
		if
		:: FREED ->
			atomic { sum = sum + dealt[i] - credited[i]; credited[i] = dealt[i]; again = 1 }
		:: else
		fi;
		i++
	od;
	if
	:: again -> goto S6
	:: else
	fi;
	atomic { i = 0; yes = 0 };
	do
	:: i == RINGS -> break
	:: else -> atomic { in_set[i] = 0; dealt[i] = 0; credited[i] = 0;
			kept[i] = kept[i] & (head[i] != taken[i]); i++ }
	od;
	atomic { i = 0; sleeping = 0; DECIDE };
	if
	:: yes -> atomic { yes = 0; some = 0; goto busy }
	:: else
	fi;
	do /* wait_for_blocked() */
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: blocked[i] && STILL_OPEN -> ASK_TO_BE_WOKEN
		:: blocked[i] && !STILL_OPEN -> yes = 1
		:: else
		fi;
		i++ }
	od;
	atomic { i = 0;
		if
		:: yes -> yes = 0; some = 0; goto busy
		:: else
		fi;
		if
		:: !some && !any_blocked -> keep = 0; goto asleep_now
		:: !some && any_blocked -> goto asleep_now
		:: else -> some = 0 /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
		fi };
arm:
	d = due; /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
	if
	:: d == INF || (keep != 0 && TIME(d) > keep) -> /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
		atomic {
			if
			:: due == d ->
				if
				:: keep == 0 -> clock++; keep = clock /* unreached CLOSE: it wakes for the full ring or the end */
				:: else
				fi;
				seq++; due = PUBLISHED(keep); d = due /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
			:: else -> goto arm
			fi
		}
	:: else
	fi;
	timer = TIME(d); /* unreached CLOSE+SLOTS=1: it wakes for the full ring or the end */
	atomic {
		if
		:: due == d -> due = d | 1
		:: due == (d | 1)
		:: else -> goto arm
		fi
	};
asleep_now:
	atomic { d = 0; total = 0; brim = 0; any_blocked = 0; i = 0; some = 0;
		do
		:: i == RINGS -> break
		:: else -> cutto[i] = 0; blocked[i] = 0; i++
		od;
		i = 0; goto sleep };

release: /* the batch goes out; a slot is zeroed, then the tail lets producers in */
	yes = 0;
	do
	:: i == RINGS -> break
	:: else ->
		do
		:: taken[i] == cutto[i] -> break
		:: else -> atomic { c = SLOT(i, taken[i]);
			if
			:: hdr[c] == COMMITTED ->
				assert(what[c] != 0);
				d = what[c] - 1;
				assert(expected[d / 4] == d % 4);
				expected[d / 4]++; delivered++; d = 0
			:: else -> assert(hdr[c] == ABORTED); passed_by[i]++ /* unreached !CLOSE: nobody closes */
			fi;
			taken[i]++ };
#ifdef M_ZERO_LATE
			tail[i] = taken[i];
#endif
			atomic { hdr[c] = OPEN; what[c] = 0; c = 0 }
		od;
		if
		:: tail[i] != taken[i] -> tail[i] = taken[i]
		:: else
		fi;
		pressed[i] = 0;
		i++
	od;
	atomic { i = 0; keep = 0;
		if
		:: any_blocked -> clock++; keep = clock /* unreached SLOTS=1+!RINGS=2: then nothing is taken beside it */
		:: else
		fi;
		any_blocked = 0; total = 0; brim = 0; goto cut };

over: /* leave_ring(), of each */
	asleep = 0; /* unreached !CLOSE: nobody closes */
	do
	:: i == RINGS -> break /* unreached !CLOSE: nobody closes */
	:: else ->
		cutto[i] = taken[i]; /* unreached !CLOSE: nobody closes */
		do
		:: cutto[i] == head[i] -> break /* unreached !CLOSE: nobody closes */
		:: else -> atomic {
			if
			:: IS_OPEN(hdr[SLOT(i, cutto[i])]) -> yes = 1; break /* unreached !CLOSE: nobody closes */
			:: else -> c = c + (hdr[SLOT(i, cutto[i])] == COMMITTED); cutto[i]++ /* unreached !CLOSE: nobody closes */
			fi }
		od;
		atomic {
			if
			:: yes -> LEAVE_BEHIND
			:: else -> dropped = dropped + c /* unreached !CLOSE: nobody closes */
			fi;
			taken[i] = head[i]; yes = 0; c = 0; cutto[i] = 0; i++ } /* unreached !CLOSE: nobody closes */
	od;
	ended = 1 /* unreached !CLOSE: nobody closes */
} /* unreached !CLOSE: nobody closes, so it has no end */

#ifdef CLOSE
proctype Closer()
{
	byte i;

	closing = 1;
	do
	:: i == RINGS -> break
	:: else ->
		atomic { lim[i] = 0; lim_closed[i] = 1 };
		closed[i] = 1;
		bits[i] = 1;
		i++
	od;
	shutdown = 1;
	event = 1;
	if
	:: ended
	:: atomic { late = 1; event = 1 } /* the deadline has passed */
	fi
}
#endif

/* Nobody can go on any more: everything that was accepted has gone out. */
proctype Judge()
{
end_judge:
	timeout -> assert(through == THREADS && (ended || (asleep && timer == 0 && !event)));
	assert(owed == 0 && (dropped + ALL_LOST == 0 || late));
	assert(accepted + not_taken == PUSH0 + PUSH1 + PUSH2);
	assert(accepted == PLACES);
	assert(accepted == delivered + dropped + ALL_LOST)
}

init {
	atomic {
		run Producer(0, 0, PUSH0);
		run Producer(1, 0, PUSH1);
		run Producer(2, RINGS - 1, PUSH2);
#ifdef CLOSE
		run Closer();
#endif
		run Judge();
		run Flusher()
	}
}
