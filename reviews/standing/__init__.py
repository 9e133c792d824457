"""Standing approvals: what two people approve in advance, for one agent, one action and a while.

A standing approval is the vote that its owner and its approver would give. It lets an intent pass only where policy
asks people, and only where the approvals of these two, as they are at that moment, would meet what policy asks. So it
never lifts a block and never stands for anybody else; what asks for more goes to people as ever.

`terms` is what is approved, `steps` how it comes into force and leaves it, `using` what happens when its agent
proposes, `samples` what people say of the share that they look at all the same, `reading` what the pages show.
"""
