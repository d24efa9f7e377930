"""The order form of the home page."""

from __future__ import annotations

from django import forms

from shop.models import Product

CARDS = {
    "card_fine": "A card that works",
    "card_declined": "A card that is declined",
    "card_unstable": "A bank that fails once",
    "card_busy": "A bank that is too busy at first",
    "card_slow": "A bank that answers too late",
    "card_dripping": "A bank that answers byte by byte",
    "card_down": "A bank that is down",
}


class OrderForm(forms.Form):
    """One article, for one customer, with a card to practise on."""

    name = forms.CharField(max_length=100, initial="Ada Lovelace")
    email = forms.EmailField(initial="ada@shop.example")
    product = forms.ModelChoiceField(Product.objects.all(), empty_label=None, label="Article")
    quantity = forms.IntegerField(min_value=1, max_value=99, initial=1)
    card = forms.ChoiceField(choices=list(CARDS.items()), label="Pay with")
