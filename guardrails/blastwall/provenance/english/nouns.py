"""What the nouns in tools' names are called by people, and the verbs that mean them without a noun.

A row is one thing: the nouns for it, and by which verbs users ask to have one made or sent, changed, or ended
beside those of the tool's own verb.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NounClass:
    """One row: nouns for one thing, and what users say to have one made, changed or ended."""

    nouns: tuple[str, ...]
    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()

    @property
    def verbs(self) -> tuple[str, ...]:
        """All of them."""
        return self.made + self.changed + self.ended


_ROWS = """
email mail message inbox reply response answer letter note memo newsletter draft thanks apology
    made: email, mail, write to, write email, write mail, reply, respond, answer, forward, message, tell,
        let know, notify, thank
message dm text sms chat reply response answer note notification reminder announcement greeting
    made: message, text, write to, write message, write in, reply, tell, let know, notify, ping, dm, ask,
        post, share,
        announce
notification alert reminder message notice
    made: notify, alert, remind, tell, let know
event meeting appointment calendar call lunch dinner breakfast coffee session slot invite invitation sync
        standup interview party reminder visit workshop review agenda schedule
    made: schedule, plan, arrange, book, set up, organise, organize, hold, block, block out, put, invite
    changed: reschedule, move, postpone, delay, push, push back, bring forward, shift, extend, shorten,
        invite
    ended: cancel, call off, drop
reminder alarm timer notification
    made: remind, set, wake
    changed: snooze, reschedule, move, remind, wake
    ended: cancel, dismiss
file document doc note report spreadsheet sheet slide presentation deck pdf page attachment image photo
        picture log script draft minutes readme config text copy
    made: write, save, draft, write down, note, note down, jot down, export, put
    changed: write, append, rewrite, correct, save, put
folder directory dir
    made: make
note memo
    made: write, write down, note, note down, jot down, record
payment transfer transaction money bill invoice rent fee amount fund deposit debt fine salary loan
    made: pay, transfer, send money, give money, wire, settle, repay, reimburse, donate, schedule payment,
        pay back, pay off, refund
    changed: change, adjust
    ended: cancel, stop
refund reimbursement money
    made: refund, reimburse, pay back, give back, return
order product item cart basket purchase grocery
    made: order, buy, purchase, place order
    ended: cancel, return
booking reservation table room hotel flight ticket seat car trip stay restaurant taxi appointment train
        apartment
    made: book, reserve, order, rent, hire, arrange, get table, get room, get ticket, get seat, get flight
    changed: rebook, move, reschedule, extend
    ended: cancel, call off
issue ticket bug defect problem
    made: report, open, file, raise, log
    changed: close, reopen, resolve
    ended: close
task todo reminder item chore assignment
    made: add, note, put, remind, log
    changed: complete, finish, tick off, mark
pr pull request mr change patch
    made: open, raise, submit, propose
    changed: close, reopen, merge, approve
    ended: close
repository repo project codebase
branch
release version tag
    made: release, publish, cut, ship, tag
user member person people account colleague guest teammate collaborator employee customer participant
    made: add, invite, onboard, register, sign up, hire
    ended: kick, kick out, ban, block, offboard, fire
contact person people number address
    made: save, add
channel room group chat space conversation thread
    made: open, start, set up
    changed: rename
    ended: close, leave
database db
record row entry data value
    made: insert, enter, log, add, save
    changed: correct, fix, set
table
query sql statement
    made: query, run
page wiki article site website webpage link url
    made: write, publish, post
    changed: rewrite, correct
comment reply note review feedback answer response
    made: comment, reply, answer, leave comment, write comment, add comment
review feedback rating comment
    made: review, rate, leave review, write review, comment
post tweet article story status update announcement blog
    made: post, publish, tweet, share, announce, write post, write article
device light lamp heating thermostat tv alarm plug camera blind speaker fan boiler heater
    changed: turn on, turn off, switch on, switch off, dim, set, turn up, turn down
temperature heating thermostat
    changed: heat, cool, warm, turn up, turn down
door gate garage lock
subscription plan membership newsletter
    made: subscribe, sign up, join
    changed: upgrade, renew
    ended: cancel, unsubscribe, end, stop
password passphrase pin login credential
    made: set
    changed: change, reset, rotate
profile setting preference detail information info account
    changed: change, correct, set
key token secret credential
    made: issue, generate
    changed: rotate, renew
    ended: revoke
permission access role right
    made: grant, give access, give permission, share
    changed: change
    ended: revoke, withdraw, take away
server instance vm machine container pod service node cluster
    made: launch, spin up, start
    changed: restart, scale
    ended: stop, terminate, shut down, take down
job pipeline workflow build run action process task
    made: run, start, trigger
    changed: restart, rerun
    ended: stop, kill
playlist song track album music
image picture photo screenshot
    made: draw, paint, take, capture
    changed: crop, resize
command script program code
    made: run, execute
"""


def _read(table: str) -> Iterator[NounClass]:
    for row in table.strip().replace("\n        ", " ").replace("\n    ", "\t").split("\n"):
        names, *said = row.split("\t")
        verbs = dict(part.split(": ") for part in said)
        yield NounClass(
            tuple(names.split()), **{when: tuple(text.split(", ")) for when, text in verbs.items()}
        )


CLASSES = tuple(_read(_ROWS))

SHAPES = {
    "file": frozenset("file document doc attachment".split()),
    "path": frozenset("file document doc attachment folder directory path".split()),
    "url": frozenset("page link url website site webpage".split()),
    "channel": frozenset(("channel",)),
    "person": frozenset("user member person people contact account".split()),
    "money": frozenset("payment transfer transaction money amount fund".split()),
}
"""Nouns that something with the shape of a name stands for: `report.pdf`, `#general`, `50 EUR`."""

_IMPLIED = """
email, mail: email mail message
message, text, dm: message text sms dm chat email mail
reply, respond, answer, write, write back, forward, tell, let know, notify, inform, thank, ask, reach out,
    get in touch, get back, contact, congratulate, ping, alert, drop a line, write to, write him, write her,
    write them, write email, write mail, write message, write letter, write reply, write in, apologise,
    apologize,
    relay: answer email mail message note reply response
send, publish, share, post: chat dm email mail message post text
pay: bill money payment transaction transfer
wire, repay, donate: money payment transaction transfer
reimburse, refund: money payment refund transaction transfer
invite: event invitation invite member people person user
subscribe, unsubscribe: newsletter subscription
wake: alarm
remind: reminder notification email mail message note
tweet: post tweet
comment: comment
schedule, reschedule: appointment event meeting
order: item order product
buy, purchase: item order product purchase
book, reserve: booking reservation
"""

IMPLIED = {
    verb: frozenset(nouns.split())
    for verbs, nouns in (row.split(": ") for row in _IMPLIED.strip().replace("\n    ", " ").split("\n"))
    for verb in verbs.split(", ")
}
"""What a verb is about when it names nothing: who says "reply to Bob" means a message."""

CARRYING = frozenset("send share post publish".split())
"""Verbs whose object is what a message holds: "send Bob the report" asks for a message."""

MONEY = frozenset("money payment transfer euro euros dollar dollars cash refund rent salary".split())
"""What is paid when it is sent."""
