"""Addresses of the API and of the callbacks."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
