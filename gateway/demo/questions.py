"""What the demonstration's markets ask, again and again if there are more of them."""

QUESTIONS = (
    "Will it rain in Bergen on the first of May?",
    "Will the comet be seen with the naked eye?",
    "Will the home side win the final?",
    "Will the bridge open before the summer?",
    "Will the bill pass in its first reading?",
    "Will the harvest be better than last year's?",
    "Will the old record be broken at the games?",
    "Will the museum have a million visitors this year?",
)
