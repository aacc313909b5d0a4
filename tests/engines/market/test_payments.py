"""Users and payments, by example; each refusal with what it says."""

import pytest

from engines.market import commands as c
from engines.market.errors import (
    AccountNotEmpty,
    FundsInsufficient,
    OrderForeign,
    PaymentExists,
    PaymentStatusWrong,
    PaymentUnknown,
    UserExists,
    UserInactive,
    UserUnknown,
)
from tests.engines.market.platform import Platform


@pytest.fixture
def platform() -> Platform:
    found = Platform()
    found.add_user("ann", 1000)
    return found


def test_a_deposit_counts_when_it_is_confirmed_and_can_be_refunded_whole(platform: Platform) -> None:
    platform.do(c.RequestDeposit, payment="p", user="ann", amount=500)
    assert platform.account("ann").available == 1000
    platform.do(c.ConfirmDeposit, payment="p")
    assert platform.account("ann").available == 1500
    platform.do(c.RefundDeposit, payment="p", user="ann")
    assert platform.account("ann").available == 1000
    assert platform.payment("p").status == "refunded"


def test_a_withdrawal_sets_its_money_aside_and_a_failed_one_gives_it_back(platform: Platform) -> None:
    platform.do(c.RequestWithdrawal, payment="p", user="ann", amount=700)
    ann = platform.account("ann")
    assert (ann.available, ann.reserved) == (300, 700)
    platform.do(c.FailPayment, payment="p", reason="the bank refused it")
    assert (ann.available, ann.reserved) == (1000, 0)
    platform.do(c.RequestWithdrawal, payment="q", user="ann", amount=700)
    platform.do(c.ConfirmWithdrawal, payment="q")
    assert (ann.available, ann.reserved) == (300, 0)


def test_a_failed_deposit_changes_no_account(platform: Platform) -> None:
    platform.do(c.RequestDeposit, payment="p", user="ann", amount=500)
    assert [write.stream for write in platform.do(c.FailPayment, payment="p").writes] == ["payment-p"]
    assert platform.account("ann").available == 1000


def test_refuses_payments_out_of_turn(platform: Platform) -> None:
    with pytest.raises(PaymentUnknown, match="there is no payment p: request it first"):
        platform.do(c.ConfirmDeposit, payment="p")
    with pytest.raises(PaymentUnknown, match="there is no payment p: request it first"):
        platform.do(c.FailPayment, payment="p")
    platform.do(c.RequestDeposit, payment="p", user="ann", amount=500)
    with pytest.raises(PaymentExists, match="there is a payment p already: choose another id"):
        platform.do(c.RequestWithdrawal, payment="p", user="ann", amount=500)
    with pytest.raises(
        PaymentStatusWrong,
        match="payment p is a deposit that is requested: this needs a withdrawal that is requested",
    ):
        platform.do(c.ConfirmWithdrawal, payment="p")
    platform.do(c.ConfirmDeposit, payment="p")
    with pytest.raises(OrderForeign, match="payment p is not a payment of bob"):
        platform.do(c.RefundDeposit, payment="p", user="bob")


def test_refuses_to_pay_out_what_is_not_available(platform: Platform) -> None:
    with pytest.raises(FundsInsufficient, match=r"the withdrawal takes 10\.01, 10\.00 is available"):
        platform.do(c.RequestWithdrawal, payment="p", user="ann", amount=1001)
    payment = platform.pay_in("ann", 500)
    platform.do(c.RequestWithdrawal, payment="q", user="ann", amount=1100)
    with pytest.raises(FundsInsufficient, match=r"the refund takes 5\.00, 4\.00 is available"):
        platform.do(c.RefundDeposit, payment=payment, user="ann")


def test_a_closed_user_may_only_withdraw_and_be_deleted_when_nothing_is_left(platform: Platform) -> None:
    with pytest.raises(UserInactive, match="user ann is active: close the user first"):
        platform.do(c.DeleteUser, user="ann")
    platform.do(c.CloseUser, user="ann", reason="asked for it")
    with pytest.raises(UserInactive, match="user ann is closed: only withdrawals are possible"):
        platform.do(c.RequestDeposit, payment="p", user="ann", amount=1)
    with pytest.raises(AccountNotEmpty, match=r"user ann has 10\.00 available, 0\.00 reserved"):
        platform.do(c.DeleteUser, user="ann")
    platform.do(c.RequestWithdrawal, payment="q", user="ann", amount=1000)
    platform.do(c.ConfirmWithdrawal, payment="q")
    platform.do(c.DeleteUser, user="ann")
    assert (platform.account("ann").name, platform.account("ann").email) == ("", "")
    with pytest.raises(UserUnknown):
        platform.do(c.UpdateUser, user="ann", name="Ann", email="ann@example.test")
    with pytest.raises(UserExists):
        platform.do(c.RegisterUser, user="ann", name="Ann", email="ann@example.test")


def test_a_user_s_name_and_address_change(platform: Platform) -> None:
    platform.do(c.UpdateUser, user="ann", name="Anna", email="anna@example.test")
    assert (platform.account("ann").name, platform.account("ann").email) == ("Anna", "anna@example.test")
