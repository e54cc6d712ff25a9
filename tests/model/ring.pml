/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.pml - the rseq ring: records and claims of threads that are preempted, migrated and killed
 * at any instruction, while the flusher cuts, the sink reads, space is released, the engine closes.
 *
 * It models the sections of engine/ring/section_x86_64.h and section_aarch64.h (labels begin ..
 * commit), claims (fill .. kick; engine/api/push.c, engine/ring/ring.c), the slow path as far as it
 * moves alarm and limit (met_alarm, met_limit; engine/flush/wake.c, limit.c), the cut by the side
 * table (engine/flush/walk.c), the sleep as far as sections are concerned (engine/flush/sleep.c),
 * release (engine/flush/release.c) and close (engine/api/close.c, engine/flush/control.c).
 *
 * Thread 0 belongs to CPU 0, thread 2 to CPU 1, and thread 1 is now here, now there. Whoever begins
 * a section has preempted all others of that CPU: what they had begun starts again. Beside that a
 * section may be aborted at any step (a signal, a migration, another process), any process may be
 * held up for ever at any step, since every state in which the others have gone on is searched, and
 * KILLS=1 ends one thread for good wherever it is. Steps between which nobody else sees or changes
 * anything are one: header and payload lie in free space until the commit. What lies in free space,
 * from a released record or an aborted attempt, reads as 0 here and must not be read at all.
 *
 * A ring has SIZE units; a record takes one, or two from thread 2; thread 1 pushes claims. Position
 * and count are words of three bits that wrap at different times. Stores of a CPU are seen in their
 * order (x86-64, or the release store of aarch64); that they are seen late is nothing new, since a
 * push reads nothing behind its commit.
 *
 *     hdr     of a unit: 0 payload, RESERVED, WAITED (reserved, and the flusher wants to hear of
 *             it), COMMITTED, ABORTED; TWO: two units long
 *     lowered the alarm is the next count; saw: the thread has loaded this ring's alarm, which has
 *             not changed since, so that its compare-and-swap would succeed
 *     side_n  entries of the side table that the flusher has not done with, the latest SIDE of them
 *             known; SIDE: so many or more, which only a walk can tell
 *
 * Promised: every record that was accepted goes out once, whole, as it was pushed, and none that
 * was not; none is overwritten before it was released; nothing is accepted once close has drained;
 * the flusher never sleeps on a record that it could take without a timer or an event; count and
 * position name the same record; nobody is stuck. LIVE: no run goes on for ever, unless threads are
 * preempted or time passes for ever.
 *
 * By default the flusher is awake whenever there is something to take, and cuts one ring at a time,
 * in any order. SLEEP: it sleeps by alarms. CLOSE: somebody closes the engine. FALSE_ENTRIES: an
 * aborted claim may leave its entry in the side table.
 *
 *     run slice -DPUSH1=1 -DKILLS=1
 *     run slice -DSLEEP -DPUSH0=1 -DPUSH1=1 -DPUSH2=0 -DKILLS=0
 *     run full -DCLOSE -DPUSH0=1 -DPUSH1=1 -DPUSH2=1
 *     run full -DFALSE_ENTRIES -DPUSH0=1 -DKILLS=1
 *     live full -DPUSH1=1 -DKILLS=0
 *     run soak -DPUSH1=2 -DPUSH2=1 -DKILLS=1
 *     run soak -DSLEEP -DPUSH0=1 -DPUSH1=1 -DPUSH2=1 -DKILLS=0
 *     live soak -DSLEEP -DPUSH0=1 -DPUSH1=1 -DPUSH2=0 -DKILLS=0
 *     mutant slice M_NO_DESCRIPTOR -DKILLS=0
 *     mutant slice M_NO_CPU_CHECK -DKILLS=0
 *     mutant slice M_HEAD_OUTSIDE -DKILLS=0
 *     mutant slice M_STORE_FIRST -DKILLS=0
 *     mutant slice M_NO_LIMIT -DKILLS=0
 *     mutant slice M_PLAIN_MEMBARRIER -DCLOSE -DPUSH1=0 -DPUSH2=0 -DKILLS=0
 *     mutant full M_PLAIN_MEMBARRIER -DSLEEP -DPUSH1=0 -DPUSH2=0 -DKILLS=0
 *     mutant full M_LIMIT_OUTSIDE -DCLOSE -DPUSH1=0 -DPUSH2=0 -DKILLS=0
 *     mutant full M_NO_RECHECK -DSLEEP -DPUSH1=0 -DPUSH2=0 -DKILLS=0
 *     mutant full M_LIMIT_PAST_TAIL -DSLEEP -DPUSH0=3 -DPUSH1=0 -DPUSH2=0 -DKILLS=0
 *     mutant full M_RELEASE_FIRST -DKILLS=0
 *     mutant full M_CARRY -DKILLS=0
 *     mutant full M_FILL_LATE -DKILLS=0
 *     mutant full M_CLAIM_HEADER_LATE -DKILLS=0
 *     mutant full M_SIDE_LATE -DKILLS=0
 *     mutant full M_SIDE_FIRST -DKILLS=0
 *     mutant full M_NO_SIDE -DKILLS=0
 */
#ifndef PUSH0
#define PUSH0 2
#endif
#ifndef PUSH1
#define PUSH1 1
#endif
#ifndef PUSH2
#define PUSH2 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifdef SLEEP
#define LOWERED 1
#else
#define LOWERED 0 /* for ever */
#endif
#define THREADS 3
#define CPUS 2
#define SIZE 2
#define START 6 /* where the position starts; the count starts one further */
#define WRAP(n) ((n) & 7)
#define AHEAD(a, b) (WRAP((a) - (b)) != 0 && WRAP((a) - (b)) <= 4) /* a is behind b in time */
#define SIDE 2

#define RESERVED 1
#define WAITED 2
#define COMMITTED 3
#define ABORTED 4
#define STATE(h) ((h) & 7)
#define TWO 8
#define IS_OPEN(h) (STATE(h) == RESERVED || STATE(h) == WAITED)
#define UNIT(r, p) ((r) * SIZE + ((p) & 1))
#define UNITS_OF(h) ((h) >= TWO -> 2 : 1)

#define UNITS (me == 2 -> 2 : 1)
#define CLAIMS (me == 1)
#define MOST (me == 0 -> PUSH0 : (me == 1 -> PUSH1 : PUSH2))
#define ID (1 + 4 * me + number)

/* A ring's words. */
byte count[CPUS] = WRAP(START + 1), pos[CPUS] = START; /* head */
byte lim[CPUS] = WRAP(START + SIZE), tail[CPUS] = START;
bool lim_closed[CPUS], lowered[CPUS] = LOWERED;
byte side_n[CPUS], side_count[CPUS * SIDE], side_pos[CPUS * SIDE];
byte hdr[CPUS * SIZE], pay[CPUS * SIZE];

byte taken[CPUS] = START, taken_count[CPUS] = WRAP(START + 1); /* the flusher's, for the sink */
bool armed, event, asleep, closing, shutdown, late, ended;

byte inside[THREADS];   /* 1 + its CPU: in a section that was not interrupted */
byte saw[THREADS];
bool killed;
byte through;           /* producers that have pushed everything, or are dead */
byte owed;              /* commits that found WAITED and have not written the event yet */
byte accepted[THREADS], delivered[THREADS]; /* one bit for each record */

#define CAN_TAKE(r) (pos[r] != taken[r] && !IS_OPEN(hdr[UNIT(r, taken[r])]))
#define NOTHING_STRANDED (!asleep || armed || event || owed != 0 || !(CAN_TAKE(0) || CAN_TAKE(1)))
#define DRAINED (pos[0] == taken[0] && pos[1] == taken[1])

#define IS_FREE(r, p) (WRAP((p) - tail[r]) < SIZE)
#define CLEAR(r, p) \
	hdr[UNIT(r, p)] = (IS_FREE(r, p) -> 0 : hdr[UNIT(r, p)]); \
	pay[UNIT(r, p)] = (IS_FREE(r, p) -> 0 : pay[UNIT(r, p)])
#define CLEAR_FREE(r) CLEAR(r, pos[r]); CLEAR(r, pos[r] + 1)
#ifdef M_NO_DESCRIPTOR /* a section goes on where it was interrupted */
#define INTERRUPT(t) skip
#else
#define INTERRUPT(t) inside[t] = 0
#endif
#if defined(M_NO_DESCRIPTOR) || defined(LIVE)
#define OR_ABORTS
#else
#define OR_ABORTS :: inside[me] -> CLEAR_FREE(cpu); AGAIN
#endif
#ifdef LIVE
#define HIT hit = 1
#else
#define HIT skip
#endif
#define PREEMPT(t) \
	if \
	:: inside[t] == 1 + on -> INTERRUPT(t); HIT \
	:: else \
	fi
#if defined(M_NO_MEMBARRIER) || defined(M_PLAIN_MEMBARRIER) /* interrupts nobody */
#define MEMBARRIER skip
#else
#define MEMBARRIER INTERRUPT(0); INTERRUPT(1); INTERRUPT(2); CLEAR_FREE(0); CLEAR_FREE(1)
#endif
#ifdef M_NO_CPU_CHECK
#define OTHER_CPU false
#else
#define OTHER_CPU (cpu != on)
#endif
#ifdef M_NO_LIMIT
#define PASSES_LIMIT false
#else
#define PASSES_LIMIT AHEAD(hp + UNITS, lim[cpu])
#endif
#ifdef M_CARRY
#define NEXT_COUNT WRAP(hc + 1 + (hp + UNITS > 7))
#else
#define NEXT_COUNT WRAP(hc + 1)
#endif
#define MAKE_HEADER \
	hdr[UNIT(cpu, hp)] = (CLAIMS -> RESERVED : COMMITTED) + (me == 2 -> TWO : 0)
#define COPY(r, p) pay[UNIT(r, p)] = ID; \
	if \
	:: me == 2 -> pay[UNIT(r, (p) + 1)] = ID; hdr[UNIT(r, (p) + 1)] = 0 \
	:: else \
	fi
#define STORE_RECORD MAKE_HEADER; \
	if \
	:: CLAIMS \
	:: else -> COPY(cpu, hp) \
	fi
#ifdef M_CLAIM_HEADER_LATE
#define STORE skip
#define STORE_LATE STORE_RECORD
#else
#define STORE STORE_RECORD
#define STORE_LATE NOTE_SIDE_NOW
#endif
#define ALARM_CHANGES(r) \
	saw[0] = (saw[0] == 1 + (r) -> 0 : saw[0]); \
	saw[1] = (saw[1] == 1 + (r) -> 0 : saw[1]); \
	saw[2] = (saw[2] == 1 + (r) -> 0 : saw[2])
#define COMMIT \
	count[cpu] = NEXT_COUNT; pos[cpu] = WRAP(hp + UNITS); \
	if \
	:: CLAIMS \
	:: !CLAIMS -> accepted[me] = accepted[me] | (1 << number) \
	fi; \
	assert(NOTHING_STRANDED)
#define AFTER_COMMIT \
	if \
	:: CLAIMS -> inside[me] = 0; goto filled \
	:: !CLAIMS -> number++; AGAIN \
	fi
#if defined(M_SIDE_LATE) || defined(M_NO_SIDE)
#define NOTE_SIDE skip
#else
#define NOTE_SIDE NOTE_SIDE_NOW
#endif
#define NOTE_SIDE_NOW \
	if \
	:: CLAIMS && side_n[cpu] == 0 -> side_count[cpu * SIDE] = hc; side_pos[cpu * SIDE] = hp; \
		side_n[cpu] = 1 \
	:: CLAIMS && side_n[cpu] == 1 -> side_count[cpu * SIDE + 1] = hc; \
		side_pos[cpu * SIDE + 1] = hp; side_n[cpu] = 2 \
	:: CLAIMS && side_n[cpu] == 2 -> side_count[cpu * SIDE] = side_count[cpu * SIDE + 1]; \
		side_pos[cpu * SIDE] = side_pos[cpu * SIDE + 1]; \
		side_count[cpu * SIDE + 1] = hc; side_pos[cpu * SIDE + 1] = hp \
	:: !CLAIMS \
	fi
#define AGAIN cpu = 0; hc = 0; hp = 0; saw[me] = 0; inside[me] = 0; goto again
#if KILLS == 0
#define OR_DIES
#else
#define OR_DIES :: !killed -> killed = 1; goto dead
#endif
/* A step in the section, and what can come instead of it. */
#define IN_SECTION(step) \
	atomic { \
		if \
		:: !inside[me] -> AGAIN \
		OR_ABORTS \
		:: inside[me] -> step \
		OR_DIES \
		fi \
	}
#define OUTSIDE(step) \
	atomic { \
		if \
		:: step \
		OR_DIES \
		fi \
	}
/* Thread 1 is anywhere; read twice, with LIVE it has not moved for ever. */
#define ANY_CPU(var) \
	if \
	:: me != 2 -> var = 0 \
	:: me != 0 -> var = 1 \
	fi

proctype Producer(byte me)
{
	byte number, cpu, hc, hp, on;
	bool waited, hit;

again:
	atomic {
		if
		:: number == MOST -> goto dead
		:: else
		fi;
		ANY_CPU(cpu);
#if defined(M_HEAD_OUTSIDE) || defined(M_LIMIT_OUTSIDE) || defined(M_NO_CPU_CHECK)
	};
#ifdef M_HEAD_OUTSIDE
	atomic { hc = count[cpu]; hp = pos[cpu] };
#endif
#ifdef M_LIMIT_OUTSIDE
	atomic { hp = pos[cpu];
		if
		:: PASSES_LIMIT -> goto met_limit
		:: else
		fi };
#endif
	atomic {
#endif
		/* begin: inside by now, and perhaps on another CPU */
#ifdef LIVE
		on = cpu;
#else
		ANY_CPU(on);
		if
		:: OTHER_CPU -> AGAIN
		:: else
		fi;
#endif
		PREEMPT(0); PREEMPT(1); PREEMPT(2); /* unreached PUSH2=0: thread 2 pushes nothing */
#if !defined(M_NO_DESCRIPTOR) && !defined(M_NO_CPU_CHECK)
		CLEAR_FREE(cpu);
#endif
		inside[me] = 1 + on; on = 0;
#ifndef M_HEAD_OUTSIDE
		hc = count[cpu]; hp = pos[cpu];
#endif
#ifdef SLEEP
		if
		:: lowered[cpu] -> inside[me] = 0; hc = 0; hp = 0; saw[me] = 1 + cpu; goto met_alarm
		:: else
		fi
#else
		skip
#endif
	};
#ifdef LIVE
	if
	:: hit ->
progress_preempted:	hit = 0
	:: else
	fi;
#endif
limit:
#ifndef M_LIMIT_OUTSIDE
	IN_SECTION( /* unreached PUSH2=0: always room for two records of one unit */
		if
		:: PASSES_LIMIT -> inside[me] = 0; hc = 0; hp = 0; goto met_limit
		:: else
		fi);
#endif
#ifdef M_STORE_FIRST
	IN_SECTION(COMMIT; NOTE_SIDE);
store:
	IN_SECTION(STORE; AFTER_COMMIT);
#else
#ifdef FALSE_ENTRIES
store:
	IN_SECTION(STORE; NOTE_SIDE);
#define NOTE_AND_COMMIT COMMIT
#else
store:
	IN_SECTION(STORE); /* unreached PUSH2=0: no record of two units */
#define NOTE_AND_COMMIT NOTE_SIDE; COMMIT
#endif
commit:
#if defined(M_SIDE_LATE) || defined(M_CLAIM_HEADER_LATE)
	IN_SECTION(NOTE_AND_COMMIT);
	IN_SECTION(STORE_LATE; AFTER_COMMIT);
#else
	IN_SECTION(NOTE_AND_COMMIT; AFTER_COMMIT); /* unreached PUSH1=1, PUSH1=2: no 3rd entry */
#endif
#endif

filled: /* and committed, or aborted */
#ifdef CLOSE
#define OR_GIVEN_UP :: !IS_OPEN(hdr[UNIT(cpu, hp)])
#else
#define OR_GIVEN_UP
#endif
#ifdef M_FILL_LATE
#define FILL skip
#else
#define FILL pay[UNIT(cpu, hp)] = ID
#endif
	OUTSIDE(true -> waited = (STATE(hdr[UNIT(cpu, hp)]) == WAITED);
		if
		:: IS_OPEN(hdr[UNIT(cpu, hp)]) -> owed = owed + waited;
			if
			:: FILL; hdr[UNIT(cpu, hp)] = COMMITTED;
				accepted[me] = accepted[me] | (1 << number)
			:: hdr[UNIT(cpu, hp)] = ABORTED
			fi
		OR_GIVEN_UP
		fi;
#ifndef M_FILL_LATE
		cpu = 0; hc = 0; hp = 0; number++;
#endif
		assert(NOTHING_STRANDED));
#ifdef M_FILL_LATE
	atomic { pay[UNIT(cpu, hp)] = ID; cpu = 0; hc = 0; hp = 0; number++ };
#endif
#ifdef SLEEP
kick: /* who dies here has as good as died before: its record waits for the next to push there */
	if
	:: waited -> OUTSIDE(true -> event = 1; owed--; waited = 0)
	:: else
	fi;
#endif
	goto again;

#ifdef SLEEP
met_alarm: /* arm, then move the alarm: so a record is never visible without a timer */
	OUTSIDE(closing -> goto dead
		:: !closing -> armed = 1);
move_alarm:
	OUTSIDE(true ->
		if
		:: saw[me] != 0 -> lowered[cpu] = 0; ALARM_CHANGES(cpu)
		:: else
		fi;
		AGAIN);
#endif

met_limit:
	OUTSIDE(closing || lim_closed[cpu] -> goto dead /* unreached PUSH2=0: always room */
		:: !closing && !lim_closed[cpu] ->
			if
			:: AHEAD(pos[cpu] + UNITS, tail[cpu] + SIZE) -> number++; AGAIN
			:: else -> hp = lim[cpu]; hc = WRAP(tail[cpu] + SIZE)
			fi);
move_limit:
	OUTSIDE(true -> /* unreached PUSH2=0: always room */
		if
		:: lim[cpu] == hp && !lim_closed[cpu] -> lim[cpu] = hc
		:: else
		fi;
		AGAIN);
dead:
	atomic { cpu = 0; hc = 0; hp = 0; waited = 0; number = 0; saw[me] = 0; inside[me] = 0;
		hit = 0; through++ }
}

#ifdef M_SIDE_FIRST
#define READ_SIDE_FIRST n = side_n[i]
#define READ_SIDE skip
#else
#define READ_SIDE_FIRST skip
#define READ_SIDE n = side_n[i]
#endif
#define AT(j) WRAP(side_count[i * SIDE + j] - taken_count[i])
#define IS_OPEN_AT(j) IS_OPEN(hdr[UNIT(i, side_pos[i * SIDE + j])])

/*
 * The cut of ring i: to, to_count, blocked. A record only ever goes from open to ended, so that its
 * headers are as good as read at once, at the time of the last of them.
 */
#define READ_HEAD \
	READ_SIDE_FIRST; \
	atomic { c = count[i]; p = pos[i] }
#define SCAN \
	READ_SIDE; to[i] = taken[i]; to_count[i] = taken_count[i]; blocked[i] = 0; \
	if \
	:: c == taken_count[i] -> assert(p == taken[i]) \
	:: c != taken_count[i] && !rescan[i] && n < SIDE && side_n[i] < SIDE -> \
		if \
		:: n == 1 && AT(0) < WRAP(c - taken_count[i]) && IS_OPEN_AT(0) -> \
			to_count[i] = side_count[i * SIDE]; to[i] = side_pos[i * SIDE]; \
			blocked[i] = 1 \
		:: else -> to_count[i] = c; to[i] = p \
		fi \
	:: else -> \
		do \
		:: to_count[i] == c -> assert(to[i] == p); break \
		:: to_count[i] != c && IS_OPEN(hdr[UNIT(i, to[i])]) -> blocked[i] = 1; break \
		:: else -> assert(STATE(hdr[UNIT(i, to[i])]) != 0); \
			to[i] = WRAP(to[i] + UNITS_OF(hdr[UNIT(i, to[i])])); \
			to_count[i] = WRAP(to_count[i] + 1) \
		od \
	fi; \
	n = 0; c = 0; p = 0

#define FORGET_OLDEST \
	if \
	:: !blocked[i] && side_n[i] > 0 && AHEAD(taken_count[i], side_count[i * SIDE]) -> \
		side_count[i * SIDE] = side_count[i * SIDE + 1]; \
		side_pos[i * SIDE] = side_pos[i * SIDE + 1]; \
		side_count[i * SIDE + 1] = 0; side_pos[i * SIDE + 1] = 0; side_n[i]-- \
	:: else \
	fi
#define TAKE \
	taken[i] = to[i]; taken_count[i] = to_count[i]; rescan[i] = blocked[i]; \
	FORGET_OLDEST; FORGET_OLDEST

#define ABANDON_CLAIMS \
	c = taken_count[i]; p = taken[i]; \
	do \
	:: c == count[i] -> break \
	:: else -> n = UNITS_OF(hdr[UNIT(i, p)]); \
		if \
		:: IS_OPEN(hdr[UNIT(i, p)]) -> hdr[UNIT(i, p)] = ABORTED \
		:: else \
		fi; \
		p = WRAP(p + n); c = WRAP(c + 1) \
	od; \
	n = 0; c = 0; p = 0

#ifdef M_LIMIT_PAST_TAIL
#define ROOM(i) WRAP(taken[i] + SIZE)
#else
#define ROOM(i) WRAP(tail[i] + SIZE)
#endif

#ifndef SLEEP

/* Awake whenever there is something to take, from whichever ring. */
proctype Flusher()
{
	byte i, n, c, p, to[CPUS], to_count[CPUS];
	bool blocked[CPUS], rescan[CPUS], gave_up;

end_wait:
	do
	:: atomic { CAN_TAKE(0) -> i = 0; goto cut }
	:: atomic { CAN_TAKE(1) -> i = 1; goto cut };
cut:		READ_HEAD;
		atomic { SCAN; TAKE; /* unreached PUSH1=1: one side entry at most */
			to[i] = 0; to_count[i] = 0; blocked[i] = 0; i = 0 }
#ifdef CLOSE
	:: shutdown && DRAINED -> break
	:: atomic { late && !gave_up && !DRAINED -> gave_up = 1; i = 0; ABANDON_CLAIMS };
		atomic { i = 1; ABANDON_CLAIMS; i = 0 }
	od;
	ended = 1
#else
	od
#endif
} /* unreached KILLS=1, KILLS=0: without close it never ends */

#else

#define CUT_BOTH \
	i = 0; READ_HEAD; atomic { SCAN; i = 1 }; READ_HEAD; \
	atomic { SCAN; i = 0; some = to[0] != taken[0] || to[1] != taken[1] }
#define CLEAR_CUT \
	to[0] = 0; to_count[0] = 0; blocked[0] = 0; to[1] = 0; to_count[1] = 0; blocked[1] = 0; \
	some = 0; i = 0
#define LOWER_ALARM lowered[i] = 1; ALARM_CHANGES(i)
#define MOVE_LIMIT \
	if \
	:: !lim_closed[i] -> lim[i] = ROOM(i) \
	:: else \
	fi
#define WAIT_FOR_BLOCKED \
	if \
	:: blocked[i] && IS_OPEN(hdr[UNIT(i, to[i])]) -> \
		hdr[UNIT(i, to[i])] = WAITED + (hdr[UNIT(i, to[i])] & TWO) \
	:: blocked[i] && !IS_OPEN(hdr[UNIT(i, to[i])]) -> some = 1 \
	:: else \
	fi

/* Sleeps until a timer or an event tells of something. */
proctype Flusher()
{
	byte i, n, c, p, to[CPUS], to_count[CPUS];
	bool blocked[CPUS], rescan[CPUS], some, gave_up;

	goto wait;
busy:
	CUT_BOTH;
take: /* and S1: no timer is set any more, while still busy */
	atomic { TAKE; i = 1; TAKE; CLEAR_CUT; armed = 0 }; /* unreached PUSH1=1: one side entry */
S3:
	atomic { LOWER_ALARM };
	atomic { MOVE_LIMIT; i = 1 };
	atomic { LOWER_ALARM };
	atomic { MOVE_LIMIT; i = 0 };
S4:
	atomic { MEMBARRIER };
S6:
#ifdef M_NO_RECHECK
	some = 0;
#else
	CUT_BOTH;
#endif
	if
	:: some -> goto take
	:: else
	fi;
	atomic {
		WAIT_FOR_BLOCKED; i = 1; WAIT_FOR_BLOCKED;
		if
		:: some -> CLEAR_CUT; goto busy
		:: else -> CLEAR_CUT
		fi;
wait:
		asleep = 1; assert(NOTHING_STRANDED) };
#ifdef CLOSE
	if
	:: shutdown && DRAINED -> goto over
	:: shutdown && late && !gave_up && !DRAINED ->
		atomic { gave_up = 1; asleep = 0; ABANDON_CLAIMS; i = 1 };
		atomic { ABANDON_CLAIMS; i = 0; goto busy }
	:: else
	fi;
#endif
end_wait:
#ifdef LIVE
	if
	:: armed ->
progress_time:	skip
	:: event
	fi;
#endif
	atomic { (armed || event) -> asleep = 0; armed = 0; event = 0; goto busy };
#ifdef CLOSE
over:
	ended = 1
#else
	skip
#endif
} /* unreached KILLS=0: without close it never ends */
#endif

/* A batch is read whole, then its space is released. */
#define READ \
	n = UNIT(i, p); u = UNITS_OF(hdr[n]); \
	if \
	:: STATE(hdr[n]) == COMMITTED -> \
		assert(pay[n] != 0 && (u == 1 || pay[UNIT(i, p + 1)] == pay[n])); \
		d = pay[n] - 1; \
		assert(accepted[d / 4] & (1 << (d % 4))); \
		assert(!(delivered[d / 4] & (1 << (d % 4)))); \
		delivered[d / 4] = delivered[d / 4] | (1 << (d % 4)) \
	:: else -> assert(STATE(hdr[n]) == ABORTED) \
	fi; \
	p = WRAP(p + u); n = 0; u = 0; d = 0
#define RELEASE_UNIT \
	hdr[UNIT(i, tail[i])] = 0; pay[UNIT(i, tail[i])] = 0; tail[i] = WRAP(tail[i] + 1)

proctype Sink(byte i)
{
	byte p, n, u, d;

end_sink:
	do
	:: atomic { tail[i] != taken[i] -> p = tail[i];
#ifdef M_RELEASE_FIRST
			tail[i] = taken[i] };
		atomic {
#endif
			do
			:: p == taken[i] -> break
			:: else -> READ
			od };
		atomic {
#ifndef M_RELEASE_FIRST
			do
			:: tail[i] == p -> break
			:: else -> RELEASE_UNIT
			od;
#endif
			p = 0 }
	od
} /* unreached: it never ends */

#ifdef CLOSE
proctype Closer()
{
	byte i, p;

	closing = 1;
	do
	:: i == CPUS -> break
	:: else ->
		p = pos[i];
		atomic { lim[i] = p; lim_closed[i] = 1; p = 0; i++ }
	od;
	atomic { MEMBARRIER };
	atomic { shutdown = 1; event = 1 };
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
	timeout -> atomic {
		assert(through == THREADS && !armed && (ended || !event));
		assert(tail[0] == taken[0] && tail[1] == taken[1]);
		assert(owed == 0 || killed);
		assert(owed != 0 || !(CAN_TAKE(0) || CAN_TAKE(1)));
		assert(DRAINED || (killed && !ended));
		assert(!DRAINED || (accepted[0] == delivered[0] && accepted[1] == delivered[1] &&
			accepted[2] == delivered[2])) }
}

init {
	atomic {
		run Producer(0);
		run Producer(1);
		run Producer(2);
		run Flusher();
		run Sink(0);
		run Sink(1);
#ifdef CLOSE
		run Closer();
#endif
		run Judge()
	}
}
