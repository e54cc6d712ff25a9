/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake.pml - the wake protocol: how a producer wakes a sleeping flusher.
 *
 * It models engine/flush/wake.c (labels section .. step6) and engine/flush/sleep.c (labels
 * busy, S1 .. S6, arm) on rseq rings: one atomic step per access to a shared word, a store
 * buffer per CPU for the one plain store there is (head), context switches that abort sections,
 * and a membarrier that does. A process may stop for ever at any step: every state in which the
 * others have gone on is searched. What blocks a ring is in fallback.pml, the limit in
 * wake-limit.pml.
 *
 *     due     0 BUSY, 1 INF, 2v unconfirmed, 2v+1 confirmed; v holds a time and, with URGENT, seq
 *     timer   0 not set, else the time it stands at; whether time passes is left open
 *     alarm   {epoch, trip, base}; base is trip - stride, the count already credited
 *     sum     {epoch, signalled, count}
 *
 * Promised: a committed record never lies there while the flusher sleeps without a timer or an
 * event; once all producers are through, a reached threshold is signalled, and an urgent
 * record's timer is not later than it asked for; once nobody goes on, all has gone out. No run goes
 * on for ever, but for threads that switch and start their sections again (LIVE).
 *
 * CFGA: two threads on one CPU. CFGB: one on each of two. CFGC: two and one. URGENT: thread 0 pushes
 * with a max age. CHANGE: once, while it is busy, the flusher changes the threshold to THR2 and turns
 * the deadline on or off. NPUSH pushes each, of thread 1 PUSH1; a timer goes off CMAX times amid
 * pushes, and as often as it is set behind them; threshold THR, stride STR. M_*: mutants, each takes
 * one piece away.
 *
 *     run slice -DCFGA
 *     run slice -DCFGB
 *     live full -DCFGB
 *     run full -DCFGC -DCMAX=0
 *     mutant slice M_NO_MEMBARRIER -DCFGB
 *     mutant slice M_PLAIN_MEMBARRIER -DCFGB
 *     mutant slice M_COMMIT_FIRST -DCFGB
 *     mutant slice M_NO_HELP -DCFGB
 *     mutant slice M_ALARM_STORE -DCFGB
 *     mutant slice M_NO_EPOCH -DCFGB
 *     mutant slice M_INF_LATE -DCFGB
 *     mutant slice M_DISARM_LATE -DCFGB
 *     mutant slice M_NO_RECHECK -DCFGB
 *     mutant slice M_NO_LEVEL -DCFGB
 *     mutant slice M_TOTAL_EARLY -DCFGB
 *     mutant slice M_NO_CORRECTION -DCFGB
 *     mutant slice M_BIT_LATE -DCFGB
 *     mutant slice M_BIT_AFTER -DCFGB
 *     mutant slice M_AFTER_NO_FENCE -DCFGB
 *     mutant slice M_ALARM_FIRST -DCFGA
 *     mutant soak M_STALE_NOT_SET -DCFGB -DPUSH1=2 -DCMAX=2 -DTHR=9
 *     run full -DCFGB -DCHANGE -DDEADLINE_ON=0
 *     run full -DCFGB -DCHANGE -DDEADLINE_ON=1
 *     run full -DCFGB -DCHANGE -DTHR=1 -DTHR2=2
 *     mutant full M_INF_NO_SEQ -DCFGB -DCHANGE -DTHR=1 -DTHR2=2
 */
#ifndef THR
#define THR 2
#endif
#ifndef CMAX
#define CMAX 1
#endif
#ifndef NPUSH
#define NPUSH 1
#endif
#ifdef PUSH1
#define MOST (me == 1 -> PUSH1 : NPUSH)
#else
#define MOST NPUSH
#endif
#ifndef THR2
#define THR2 1
#endif
#ifndef DEADLINE_ON
#define DEADLINE_ON 0
#endif
#ifndef STR
#define STR 1
#endif

#ifdef CFGA
#define RINGS 1
#define CPU(t) 0
#define ON (on_cpu == me)
#define THREADS 2
#endif
#ifdef CFGB
#define RINGS 2
#define CPU(t) (t)
#define ON true
#define THREADS 2
#endif
#ifdef CFGC
#define RINGS 2
#define CPU(t) ((t) / 2)
#define ON (me == 2 || on_cpu == me)
#define THREADS 3
#endif
#define FAR 8 /* the stride while the flusher is busy: nothing needs to be counted then */

#define BUSY 0
#ifdef CHANGE
/* INF carries the seq of its sleep: who saw the last one, and the settings of then, must look again */
#ifdef M_INF_NO_SEQ
#define INF (-1)
#else
#define INF (-1 - sum_epoch)
#endif
#define IS_INF(d) ((d) < 0)
#define NEVER 63 /* confirmed, without a timer */
#define THRESHOLD thr
#define PLACE(clock) (on -> PUBLISHED(clock) : NEVER)
#define READ_SETTINGS on = deadline_on
#else
#define INF 1
#define IS_INF(d) ((d) == INF)
#define NEVER 0
#define THRESHOLD THR
#define PLACE(clock) PUBLISHED(clock)
#define READ_SETTINGS skip
#endif
#ifdef CHANGE
#define START (-1)
#else
#define START INF
#endif
#define IS_TIME(d) ((d) > 1)
#define CONFIRMED(d) ((d) & 1)

#ifdef URGENT
#define WORD short
#define TIME(d) (((d) / 2) % 32)
#ifdef M_NO_SEQ
#define PUBLISHED(time) (2 * (time))
#else
#define PUBLISHED(time) (2 * (32 * seq + (time)))
#endif
#define NEXT_SEQ seq++
#define IS_URGENT (me == 0)
#else
#ifdef CHANGE
#define WORD short
#else
#define WORD byte
#endif
#define TIME(d) ((d) / 2)
#define PUBLISHED(time) (2 * (time)) /* times are unique here: seq adds nothing */
#define NEXT_SEQ skip
#define IS_URGENT false
#endif
#ifdef M_URGENT_NO_EPOCH
#define EPOCH_DIFFERS (asked_under == 255)
#else
#define EPOCH_DIFFERS (asked_under != a_epoch[r])
#endif
/* What is not needed any more is zeroed everywhere: fewer states. */
#ifdef URGENT
#define CLEAR_MINE if :: me == 1 -> mine = 0 :: else fi
#define KEEP_EPOCH if :: me == 0 -> asked_under = epoch :: else fi
#else
#define CLEAR_MINE skip
#define KEEP_EPOCH skip
#endif

byte head[RINGS];  /* as the ring's CPU sees it */
byte seen[RINGS];  /* as the others see it */
byte cut[RINGS];
byte a_epoch[RINGS], a_trip[RINGS] = 1, a_base[RINGS];
bool bits[RINGS];
WORD due = START;
byte clock, timer;
bool event;
byte sum_epoch, sum;
bool signalled;
bool asleep;
byte fired;        /* how often the timer has gone off amid pushes */
#ifdef CHANGE
byte thr = THR;
bool deadline_on = DEADLINE_ON, changed;
#else
#define deadline_on true
#endif
byte on_cpu;       /* CFGA: the thread that runs */
bool inside[THREADS], aborted[THREADS];
byte through;      /* producers that have pushed everything */
#ifdef URGENT
byte soon, seq;
byte urgent_by;    /* when the urgent record wants to be out */
byte urgent_at;    /* the count behind it */
#define DEADLINE (clock + 8)
#define MAX_AGE (clock + 1)
#else
#define DEADLINE clock
#endif

/* A locked instruction, or a system call: the store buffer is empty behind it. */
#define DRAIN(r) seen[r] = head[r]
#define PENDING(r) (head[r] != cut[r])
#if RINGS == 1
#define NOTHING_LEFT (!PENDING(0))
#define LEFT (head[0] - cut[0])
#else
#define NOTHING_LEFT (!PENDING(0) && !PENDING(1))
#define LEFT (head[0] - cut[0] + head[1] - cut[1])
#endif
#define COVERED (timer != 0 || event || !deadline_on)

proctype Producer(byte me)
{
	byte r = CPU(me), pushed, epoch, trip, base, gained, of_epoch, mine, asked_under = 255;
	bool credited, redo;
#ifdef CHANGE
	bool on;
#endif
	WORD d;

	do
	:: pushed == MOST -> break
	:: else ->
section:
		atomic { ON ->
			d = 0; of_epoch = 0; redo = 0; CLEAR_MINE;
			aborted[me] = 0; inside[me] = 1;
			epoch = a_epoch[r]; trip = a_trip[r]; base = a_base[r];
#ifndef M_COMMIT_FIRST
			if
			:: head[r] + 1 >= trip || (IS_URGENT && EPOCH_DIFFERS) ->
				inside[me] = 0; goto step1
			:: else
			fi
#endif
		}
commit:
		atomic { ON ->
			if
			:: aborted[me] -> goto section
			:: else
			fi;
			inside[me] = 0; head[r]++; pushed++;
			epoch = 0; trip = 0; base = 0;
#ifdef URGENT
			if
			:: me == 0 ->
				urgent_by = mine; urgent_at = head[r]; asked_under = 255; mine = 0
			:: else
			fi;
#endif
			assert(!asleep || COVERED)
		}
#ifdef M_COMMIT_FIRST
		atomic { ON ->
			epoch = a_epoch[r]; trip = a_trip[r]; base = a_base[r];
			if
			:: head[r] >= trip -> goto step1
			:: else
			fi
		}
#endif
after:
		if
		:: credited ->
#ifdef M_AFTER_NO_FENCE
			atomic { ON -> credited = 0; d = 0;
				if
				:: sum >= THRESHOLD && !signalled -> d = 2 + sum_epoch
				:: else
				fi
			};
			if
			:: d >= 2 -> atomic { ON -> DRAIN(r);
				if
				:: signalled -> d = 0
				:: else -> signalled = 1
				fi }
			:: else
			fi;
#else
			atomic { ON -> credited = 0; d = 0; DRAIN(r);
				if
				:: sum >= THRESHOLD && !signalled -> signalled = 1; d = 2 + sum_epoch
				:: else
				fi
			};
#endif
			if
			:: d >= 2 -> atomic { ON -> DRAIN(r);
				if /* awake, or asleep anew since the look at sum: it has read the heads */
				:: due == BUSY || sum_epoch != d - 2
				:: else -> event = 1
				fi;
				d = 0 }
			:: else
			fi
		:: else
		fi
	od;
	atomic {
		through++;
		/* With a stride of one the threshold is exact. */
		assert(!(through == THREADS && asleep && STR == 1 && LEFT >= THRESHOLD) || event);
#ifdef URGENT
		assert(!(through == THREADS && asleep && urgent_at > cut[0]) || event ||
		       (timer != 0 && timer <= urgent_by));
#endif
		goto end
	};

step1:
#ifdef M_ALARM_FIRST
	atomic { ON -> DRAIN(r);
		if
		:: a_epoch[r] == epoch && a_trip[r] == trip ->
			gained = head[r] + 1 - a_base[r]; a_base[r] = head[r] + 1;
			a_trip[r] = head[r] + 1 + STR; of_epoch = sum_epoch; credited = 1
		:: else -> goto section
		fi
	};
#endif
#ifndef M_BIT_LATE
	atomic { ON -> DRAIN(r); bits[r] = 1 };
#endif
step2:
#ifdef URGENT
	if
	:: me == 0 ->
		atomic { ON -> clock++; mine = MAX_AGE };
		atomic { ON -> DRAIN(r);
			if
			:: soon == 0 || soon > mine -> soon = mine
			:: else
			fi
		}
	:: else
	fi;
#endif
step3:
	atomic { ON -> of_epoch = sum_epoch };
	atomic { ON -> d = due; READ_SETTINGS;
#ifdef URGENT
		if
		:: IS_INF(d) && me != 0 -> clock++; mine = DEADLINE
		:: else
		fi
#endif
	};
#ifdef M_BIT_LATE
	atomic { ON -> DRAIN(r); bits[r] = 1 };
#endif
step4:
	if
	:: d == BUSY -> goto step5
#ifdef URGENT
	:: IS_INF(d) || (IS_TIME(d) && me == 0 && TIME(d) > mine) ->
		atomic { ON -> DRAIN(r);
			if
			:: due == d -> NEXT_SEQ; due = PUBLISHED(mine); d = due
			:: else -> goto step3
			fi
		}
	:: IS_TIME(d) && !(me == 0 && TIME(d) > mine) ->
#else
	:: IS_INF(d) ->
		atomic { ON -> DRAIN(r);
			if
			:: due == d -> clock++; due = PLACE(clock); d = due
			:: else -> goto step3
			fi
		}
	:: IS_TIME(d) ->
#endif
#ifdef M_NO_HELP
		goto step5
#else
		if
		:: CONFIRMED(d) && !redo -> goto step5
		:: else
		fi
#endif
	fi;
	atomic { ON -> DRAIN(r); timer = TIME(d) };
	atomic { ON -> DRAIN(r);
		if
		:: due == d -> due = d | 1
		:: due == (d | 1)
		:: else ->
#ifdef M_NO_SECOND_LOOK
			skip
#else
#ifndef M_NO_REDO
			redo = 1;
#endif
			goto step3
#endif
		fi
	};
step5:
	redo = 0;
#ifdef M_COMMIT_FIRST
	atomic { ON -> DRAIN(r);
		if
		:: a_epoch[r] == epoch && a_trip[r] == trip ->
			gained = head[r] - a_base[r]; a_base[r] = head[r];
			a_trip[r] = head[r] + STR; credited = 1
		:: else
		fi
	};
#else
#ifndef M_ALARM_FIRST
	atomic { ON -> DRAIN(r);
#ifdef M_NO_EPOCH
		if
		:: a_trip[r] == trip
		:: else -> goto section
		fi;
#else
#ifndef M_ALARM_STORE
		if
		:: a_epoch[r] == epoch && a_trip[r] == trip
		:: else -> goto section
		fi;
#endif
#endif
		gained = head[r] + 1 - a_base[r]; a_base[r] = head[r] + 1;
		a_trip[r] = head[r] + 1 + (d == BUSY -> FAR : STR)
	};
#endif
#endif
step6:
	/* Busy: the alarm has moved, nothing is credited. */
	atomic { ON -> DRAIN(r);
		if
		:: d != BUSY && sum_epoch == of_epoch -> sum = sum + gained; credited = 1
		:: else
		fi;
		gained = 0; of_epoch = 0; d = 0; KEEP_EPOCH
	};
#ifdef M_COMMIT_FIRST
	goto after;
#else
	goto section;
#endif
end:	skip
}

#ifndef CFGB
/* Moves the CPU to the other thread: whoever was inside a section starts again. */
proctype Scheduler()
{
	do
	:: through != THREADS ->
progress_switch:
		atomic { DRAIN(0);
		if
		:: inside[on_cpu] -> aborted[on_cpu] = 1
		:: else
		fi;
		on_cpu = 1 - on_cpu
	   }
	:: through == THREADS -> break
	od
}
#endif

proctype StoreBuffer(byte r)
{
	do
	:: atomic { seen[r] < head[r] -> seen[r]++ }
	:: through == THREADS && seen[r] == head[r] -> break
	od
}

#ifdef M_PLAIN_MEMBARRIER
#define ABORT_ON(t) skip
#else
#define ABORT_ON(t) if :: inside[t] -> aborted[t] = 1 :: else fi
#endif
#ifdef M_DISARM_LATE
#define CLEAR_OLD skip
#else
#define CLEAR_OLD d = 0
#endif
#define GO_TO_SLEEP \
	atomic { i = 0; c = 0; total = 0; d = 0; k = 0; dealt = 0; \
		at[0] = 0; LAST_AT = 0; TAKEN = 0; \
		asleep = 1; assert(NOTHING_LEFT || COVERED) }
#if RINGS == 1
#define LAST_AT at[0]
#else
#define LAST_AT at[1]
#endif
#ifdef URGENT
#define TAKEN taken
#else
#define TAKEN k
#endif

proctype Flusher()
{
	bool kept[RINGS];
#ifdef CHANGE
	bool on;
#endif
	byte i, c, total, k, dealt, at[RINGS];
	WORD d;
#ifdef URGENT
	byte taken, mine;
#endif

sleep:
	GO_TO_SLEEP;
end_wait:
	if
	:: atomic { event -> asleep = 0; event = 0 }
	:: atomic { timer != 0 && (fired < CMAX || through == THREADS) ->
		fired = fired + (through != THREADS);
		asleep = 0; k = timer; timer = 0; d = due };
		/* is_stale_timer(): of a helper that was held up, and not for what is due now */
		if
		:: IS_INF(d) -> goto sleep
		:: IS_TIME(d) && TIME(d) > k ->
			if
			:: skip /* what is due has passed as well */
#ifdef M_STALE_NOT_SET
			:: goto sleep
#else
			:: goto arm
#endif
			fi
		:: else
		fi
	fi;
busy:
	atomic { d = due; due = BUSY; k = 0 };
#ifdef CHANGE
	if /* the settings change, once */
	:: skip
	:: atomic { !changed -> changed = 1; deadline_on = !deadline_on; thr = THR2 }
	fi;
#endif
	i = 0;
	do
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: bits[i] || kept[i] -> cut[i] = seen[i]; kept[i] = 1
		:: else
		fi;
		i++ }
	od;
S1:
#ifndef M_DISARM_LATE
	if
	:: IS_TIME(d) -> timer = 0
	:: IS_TIME(d) && CONFIRMED(d) -> skip /* gone off, perhaps unread: then stale */
	:: else
	fi;
#endif
S2:
#ifndef M_INF_LATE
	atomic { sum_epoch++; sum = 0; signalled = 0 };
	due = INF;
#endif
#ifdef URGENT
#ifndef M_SOON_LATE
	atomic { taken = soon; soon = 0 };
#endif
#endif
	atomic { dealt = 0; i = 0; total = 0; CLEAR_OLD };
S3:
	do
	:: i == RINGS -> break
	:: else ->
#ifdef M_BIT_AFTER
		if
		:: bits[i] || kept[i] ->
			kept[i] = 0;
			atomic { c = seen[i]; at[i] = c };
			atomic { a_epoch[i]++; a_trip[i] = c + 1; a_base[i] = c };
			bits[i] = 0;
			atomic { dealt = dealt | (1 << i); sum = sum + c - cut[i] }
		:: else
		fi;
#else
		atomic {
			if
			:: bits[i] || kept[i] -> bits[i] = 0; kept[i] = 0; k = 1
			:: else
			fi
		};
		if
		:: k ->
			atomic { k = 0; c = seen[i]; at[i] = c };
			atomic { a_epoch[i]++; a_trip[i] = c + 1; a_base[i] = c;
				dealt = dealt | (1 << i) };
			atomic { sum = sum + c - cut[i]; c = 0 }
		:: else
		fi;
#endif
		i++
	od;
#ifdef M_INF_LATE
	atomic { sum_epoch++; sum = 0; signalled = 0 };
	due = INF;
#endif
#ifdef M_DISARM_LATE
	if
	:: IS_TIME(d) -> timer = 0
	:: else
	fi;
#endif
S4:
#ifndef M_NO_MEMBARRIER
#if defined(CFGA)
	atomic { DRAIN(0); ABORT_ON(on_cpu) };
#elif defined(CFGC)
	atomic { DRAIN(0); ABORT_ON(on_cpu) };
	atomic { DRAIN(1); ABORT_ON(2) };
#else
	atomic { DRAIN(0); ABORT_ON(0) };
	atomic { DRAIN(1); ABORT_ON(1) };
#endif
#endif
	i = 0;
S5:
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: dealt & (1 << i) ->
			c = seen[i];
#ifdef M_TOTAL_EARLY
			total = total + c - cut[i];
#endif
#ifndef M_NO_CORRECTION
			atomic {
				if
				:: c != at[i] && a_base[i] == at[i] && a_trip[i] == at[i] + 1 ->
					a_base[i] = c; a_trip[i] = c + 1; k = 1
				:: else
				fi
			};
			if
			:: k -> atomic { sum = sum + c - at[i]; k = 0 }
			:: else
			fi;
#endif
			c = 0
		:: else
		fi;
		i++
	od;
	atomic { i = 0; at[0] = 0; LAST_AT = 0 };
S6:
#ifndef M_TOTAL_EARLY
	do /* the heads are read again, behind the last add to sum */
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: (dealt & (1 << i)) || bits[i] -> total = total + seen[i] - cut[i]
		:: else
		fi;
		i++ }
	od;
	i = 0;
#endif
	do
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: dealt & (1 << i) -> kept[i] = (seen[i] != cut[i])
		:: else
		fi;
		i++ }
	od;
	atomic { i = 0; dealt = 0 };
#ifdef M_NO_RECHECK
	total = 0;
#endif
	if
#ifndef M_NO_LEVEL
	:: total >= THRESHOLD -> total = 0; goto busy
#endif
	:: total == 0 -> goto sleep
	:: else ->
#ifdef URGENT
		atomic { clock++; mine = DEADLINE;
#ifdef M_SOON_LATE
			taken = soon; soon = 0;
#endif
#ifndef M_SOON_IGNORED
			if
			:: taken != 0 && taken < mine -> mine = taken
			:: else
			fi;
#endif
			taken = 0 }
#else
		skip
#endif
	fi;
arm:
	atomic { d = due; READ_SETTINGS; total = 0; k = 0 };
	if
	:: d == BUSY -> assert(false)
#ifdef URGENT
	:: IS_INF(d) || (mine != 0 && IS_TIME(d) && TIME(d) > mine) ->
		atomic {
			if
			:: due == d -> NEXT_SEQ; due = PUBLISHED(mine); d = due
			:: else -> goto arm
			fi
		}
#else
	:: IS_INF(d) ->
		atomic {
			if
			:: due == d -> clock++; due = PLACE(clock); d = due
			:: else -> goto arm
			fi
		}
#endif
	:: else
	fi;
	if
	:: d == NEVER -> goto sleep
	:: else
	fi;
	timer = TIME(d); /* unreached DEADLINE_ON=0: once it is on, one record is a batch */
	atomic {
		if
		:: due == d -> due = d | 1
		:: due == (d | 1)
		:: else -> goto arm
		fi
	};
#ifdef URGENT
	mine = 0;
#endif
	goto sleep
} /* unreached: it has no end */

/* Nobody can go on any more: all has gone out, but what no trigger asks for. */
proctype Judge()
{
end_judge:
	timeout -> assert(through == THREADS && asleep && !event);
	assert(timer == 0 && (!deadline_on || NOTHING_LEFT));
	assert(LEFT < THRESHOLD || STR != 1)
}

init {
	atomic {
		run Producer(0);
		run Producer(1);
#ifdef CFGC
		run Producer(2);
#endif
#ifndef CFGB
		run Scheduler();
#endif
#if RINGS == 2
		run StoreBuffer(1);
#endif
		run Judge();
		run StoreBuffer(0);
		run Flusher()
	}
}
